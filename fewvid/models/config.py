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
Queries = Literal["learned", "tokens", "mlp", "projector"]
Weighting = Literal["select", "scale", "bias"]
Activation = Literal["gelu", "gelu_tanh", "quick_gelu"]
RopeScaling = Literal["none", "linear", "dynamic", "llama3", "yarn"]
Fit = Literal["area", "bicubic", "crop"]
Rgb = tuple[float, float, float]
Grid = tuple[int, int]  # rows and columns


class Side(int):
    """The side of a square frame in pixels, which also says how a picture is brought to it.

    fit: `area` squeezes the whole picture, by area where it shrinks; `bicubic` squeezes it as
    Pillow's bicubic does; `crop` brings the shorter side to it so and cuts the middle out.
    """

    fit: Fit

    def __new__(cls, side: int, fit: Fit = "area") -> Self:
        self = super().__new__(cls, side)
        self.fit = fit
        return self


@dataclass(frozen=True)
class EncoderConfig:
    """A vision transformer over square patches of a square frame.

    What a frame has beyond whole patches, at its right and lower edge, is not read.
    mean, std: of pixels in 0..1, per colour; the encoder reads (pixel / 255 - mean) / std.
    pre_norm: a norm before the first layer, as CLIP has it; post_norm: one after the last.
    fit: how a picture is brought to image_size, see `Side`.
    patch_bias: whether the patch embedding has a bias; all other products have one.
    """

    image_size: int = 64
    patch_size: int = 8
    width: int = 64
    depth: int = 4
    heads: int = 4
    mlp_width: int = 256
    cls_token: bool = True
    pre_norm: bool = False
    post_norm: bool = True
    patch_bias: bool = True
    activation: Activation = "gelu_tanh"
    norm_eps: float = 1e-6
    mean: Rgb = (0.5, 0.5, 0.5)
    std: Rgb = (0.5, 0.5, 0.5)
    fit: Fit = "area"

    @property
    def side(self) -> Side:
        """What decoding and `data.images.resize` take as a size."""
        return Side(self.image_size, self.fit)

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

    The defaults are for models that train with their sampler: those of the paper, as docs/results
    does not tell samplers, sites and weightings apart there once all is learnt. Until then it does:
    at K = N / 16 those that avoid repeating themselves are learnt with sooner, at N / 4 random ones
    are (studies `samplers`, `adapter`). Queries that are tokens read the whole frame, so that
    little is lost with what is dropped; with other adapters attention is above random (study
    `samplers`, measure `dropped`). keep None keeps all N, so that nobody loses tokens unasked; the
    recipes keep about N / 8, which costs nothing (study `keep`). A model that is imported whole has
    trained with all tokens and takes `maxmin`: there what repeats itself loses.
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
      tokens of its frame), `mlp` (no attention at all) or `projector` (no attention, no places,
      no norms: the two layers of LLaVA, for imported models; `count`, `heads` mean nothing to it).
    pool: halve the grid of a frame's outputs, between neighbours (27 x 27 become 14 x 14), as
      LLaVA-OneVision does; the sampler then chooses among what is left, so its site is `after`.
    newline: one learned token behind the last frame, as LLaVA-OneVision has it.
    tiles: the grids of tiles, each as large as a frame, that a still picture may be cut into to be
      read in them too (see `models.tiles`); none: it is read whole alone, as a frame of a video is.
    tile_limit: how many frames' tokens its tiles may come to; what exceeds them by more than a
      fifth (1.1 squared) is brought down to them.
    change: add what changed since the first frame and since the frame before, and how far things
      moved (see `models.adapter`); nothing for an image.
    """

    queries: Queries = "learned"
    count: int = 8
    width: int = 64
    heads: int = 4
    change: bool = False
    pool: bool = False
    newline: bool = False
    tiles: tuple[Grid, ...] = ()
    tile_limit: int = 9

    @classmethod
    def tiny(cls) -> Self:
        return cls(count=4, width=32, heads=2)


@dataclass(frozen=True)
class DecoderConfig:
    """A Llama-family language model: Llama, Mistral, Qwen2 and Qwen3 are settings of it.

    head_dim: need not be width / heads. qk_norm: RMSNorm of each head's queries and keys (Qwen3).
    qkv_bias, out_bias, mlp_bias: which products have a bias (Qwen2: q, k and v alone).
    window: how many positions back a token sees, itself included (Mistral); None: all.
    rope_*: how rotary frequencies are stretched to longer texts; see `models.rotary`.
    """

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
    qk_norm: bool = False
    qkv_bias: bool = False
    out_bias: bool = False
    mlp_bias: bool = False
    window: int | None = None
    rope_scaling: RopeScaling = "none"
    rope_factor: float = 1.0
    rope_length: int | None = None
    rope_slow: float = 1.0
    rope_fast: float = 32.0
    rope_attention: float = 1.0

    @classmethod
    def tiny(cls) -> Self:
        return cls(vocab_size=256, width=32, heads=2, kv_heads=1, mlp_width=64)


@dataclass(frozen=True)
class LvlmConfig:
    """A whole model: encoder, sampler, adapter and decoder.

    Raises UserError for a weighting by `bias` where no attention follows the choice, and for an
    adapter that cannot do what it is to.
    """

    encoder: EncoderConfig = EncoderConfig()
    sampler: SamplerConfig = SamplerConfig()
    adapter: AdapterConfig = AdapterConfig()
    decoder: DecoderConfig = DecoderConfig()

    def __post_init__(self) -> None:
        queries, site = self.adapter.queries, self.sampler.site
        if queries == "projector" and self.adapter.change:
            raise UserError(
                "adapter.change needs places, which adapter.queries 'projector' has not; set "
                "adapter.change to false or adapter.queries to 'mlp'"
            )
        for name in ("pool", "newline"):
            if getattr(self.adapter, name) and queries != "projector":
                raise UserError(
                    f"adapter.{name} is for adapter.queries 'projector', got {queries!r}; set "
                    f"adapter.{name} to false"
                )
        if self.adapter.tiles and not self.adapter.newline:
            raise UserError(
                "adapter.tiles needs adapter.newline true: a newline ends each row of their tokens"
            )
        if self.adapter.pool and site != "after":
            raise UserError(
                f"adapter.pool needs sampler.site 'after', got {site!r}: what is pooled are the "
                "adapter's outputs, and the sampler chooses among those"
            )
        alone = queries in ("mlp", "projector")
        if self.sampler.weighting == "bias" and (alone or site == "after"):
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
    return kind(**{key: _hashable(value) for key, value in values.items()})


def _hashable(value: Any) -> Any:
    """JSON has no tuples, and a config must be hashable."""
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value


def _check_keys(where: str, values: dict[str, Any], known: Any) -> None:
    for key in values:
        if key not in known:
            raise UserError(
                f"unknown key {where}.{key}; known: {sorted(known)}.{closest(key, known)}"
            )


def grid_of(config: LvlmConfig) -> int:
    """Tokens along one side of a frame: the encoder's patches, or half as many where they pool."""
    grid = config.encoder.grid
    return -(-grid // 2) if config.adapter.pool else grid


def candidates(config: LvlmConfig) -> int:
    """How many tokens of a frame the sampler chooses from: N, or Q after learned queries."""
    if config.sampler.site == "after" and config.adapter.queries == "learned":
        return config.adapter.count
    return grid_of(config) ** 2


def of_picture(config: LvlmConfig) -> LvlmConfig:
    """The same model for a still picture: what pools the frames of a video leaves that whole."""
    return dataclasses.replace(config, adapter=dataclasses.replace(config.adapter, pool=False))


def kept_tokens(config: LvlmConfig, keep: int | None = None) -> int:
    """K: how many tokens of a frame the sampler keeps, of those it sees at its site.

    `keep=None` takes the config's own; None there keeps all.
    Raises UserError where K is not in 1..N (see `candidates`).
    """
    seen = candidates(config)
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


def visual_tokens(config: LvlmConfig, frames: int, keep: int | None = None) -> int:
    """How many tokens of a clip of so many frames the decoder reads, and so its placeholders."""
    closing = int(config.adapter.newline and frames > 0)
    return frames * visual_tokens_per_frame(config, keep) + closing
