"""Sizes of a model: frozen dataclasses, one a part, each with a tiny preset for tests.

`LvlmConfig` composes them and goes to and from the `config.json` of a model directory.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, Self

from fewvid.errors import UserError, closest

Site = Literal["before", "after"]
ResponseSource = Literal["adapter", "encoder"]
Queries = Literal["learned", "tokens", "mlp"]
Weighting = Literal["select", "scale", "bias"]


@dataclass(frozen=True)
class EncoderConfig:
    """A vision transformer over square patches of a square frame."""

    image_size: int = 64
    patch_size: int = 8
    width: int = 64
    depth: int = 4
    heads: int = 4
    mlp_width: int = 256
    cls_token: bool = True

    @property
    def grid(self) -> int:
        """Patches along one side of a frame."""
        return self.image_size // self.patch_size

    @property
    def tokens(self) -> int:
        """N, the patch tokens of a frame (a CLS token is not one of them)."""
        return self.grid**2

    @classmethod
    def tiny(cls) -> Self:
        return cls(image_size=32, width=32, depth=2, heads=2, mlp_width=64)


@dataclass(frozen=True)
class SamplerConfig:
    """Which K of the N tokens of a frame go on, and where that is decided.

    site: `before` the adapter (patch tokens) or `after` it (the adapter's outputs).
    response: whose attention is the response, the `adapter`'s cross-attention or the `encoder`'s
      last layer. A response ranks tokens well only if something trained it.
    weighting: what the response does beside the choice. `select`: nothing. `scale`: the kept are
      multiplied by it, mean 1 over those of a frame: the tokens before the adapter reads them, or
      the adapter's outputs. `bias`: its logarithm is added to the adapter's attention logits: of
      the kept tokens under learned queries (mean 1 over them), of all tokens under queries that
      are tokens (mean 1 over the frame), as those read all. `scale` and `bias` let the gradient
      into the response and so train it. Where everything is kept no sampler runs: nothing is
      weighted either, and all three are the same model.
    """

    name: str = "attention"
    keep: int | None = None
    site: Site = "before"
    response: ResponseSource = "adapter"
    weighting: Weighting = "select"


@dataclass(frozen=True)
class AdapterConfig:
    """Cross-attention from queries to the patch tokens of a frame, into the decoder's width.

    queries: `learned` (`count` of them a frame), `tokens` (each kept token is a query over all
      tokens of its frame) or `mlp` (no attention at all, as LLaVA has it).
    change: add what changed since the first frame and since the frame before, and how far things
      moved (see `models.adapter`); nothing for an image.
    """

    queries: Queries = "learned"
    count: int = 8
    width: int = 64
    heads: int = 4
    change: bool = False

    @classmethod
    def tiny(cls) -> Self:
        return cls(count=4, width=32, heads=2)


@dataclass(frozen=True)
class DecoderConfig:
    """A Llama-family language model."""

    vocab_size: int = 512
    width: int = 64
    depth: int = 2
    heads: int = 4
    kv_heads: int = 4
    head_dim: int = 16
    mlp_width: int = 192
    rope_theta: float = 10_000.0
    norm_eps: float = 1e-5
    tie_embeddings: bool = True
    max_length: int = 1024

    @classmethod
    def tiny(cls) -> Self:
        return cls(vocab_size=256, width=32, heads=2, kv_heads=1, mlp_width=64)


@dataclass(frozen=True)
class LvlmConfig:
    """A whole model: encoder, sampler, adapter and decoder.

    Raises UserError for a weighting by `bias` where no attention follows the choice.
    """

    encoder: EncoderConfig = EncoderConfig()
    sampler: SamplerConfig = SamplerConfig()
    adapter: AdapterConfig = AdapterConfig()
    decoder: DecoderConfig = DecoderConfig()

    def __post_init__(self) -> None:
        queries, site = self.adapter.queries, self.sampler.site
        if self.sampler.weighting == "bias" and (queries == "mlp" or site == "after"):
            raise UserError(
                "sampler.weighting is 'bias', which needs attention after the choice: "
                "sampler.site 'before' and adapter.queries 'learned' or 'tokens', got "
                f"{site!r} and {queries!r}; set sampler.weighting to 'scale' or 'select'"
            )

    @classmethod
    def tiny(cls) -> Self:
        return cls(
            EncoderConfig.tiny(),
            SamplerConfig(),
            AdapterConfig.tiny(),
            DecoderConfig.tiny(),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain nested dicts, ready for JSON or ml_collections."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of `to_dict`; missing keys take their defaults.

        Raises UserError for a key that no part has, naming the closest one.
        """
        parts = {f.name: type(f.default) for f in dataclasses.fields(cls)}
        _check_keys("model", values, parts)
        return cls(
            **{name: _part(part, name, values.get(name, {})) for name, part in parts.items()}
        )


def _part(kind: Any, name: str, values: dict[str, Any]) -> Any:
    _check_keys(f"model.{name}", values, [f.name for f in dataclasses.fields(kind)])
    return kind(**values)


def _check_keys(where: str, values: dict[str, Any], known: Any) -> None:
    for key in values:
        if key not in known:
            raise UserError(
                f"unknown key {where}.{key}; known: {sorted(known)}.{closest(key, known)}"
            )


def kept_tokens(config: LvlmConfig, keep: int | None = None) -> int:
    """K: how many tokens of a frame the sampler keeps, of those it sees at its site.

    `keep=None` takes the config's own; None there keeps all.
    Raises UserError where K is not in 1..N (or 1..Q after learned queries).
    """
    seen = config.encoder.tokens
    if config.sampler.site == "after" and config.adapter.queries == "learned":
        seen = config.adapter.count
    keep = config.sampler.keep if keep is None else keep
    if keep is None:
        return seen
    if not 1 <= keep <= seen:
        raise UserError(
            f"cannot keep {keep} of {seen} tokens a frame; use --keep 1 to {seen}, or auto"
        )
    return keep


def visual_tokens_per_frame(config: LvlmConfig, keep: int | None = None) -> int:
    """M: how many tokens of a frame the decoder reads; a function of the config alone."""
    if config.adapter.queries == "learned" and config.sampler.site == "before":
        return config.adapter.count
    return kept_tokens(config, keep)
