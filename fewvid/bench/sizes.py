"""What is timed, as data: the sizes of a model and of the work that it is given."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from fewvid.checkpoints.families.preprocessing import CLIP_MEAN, CLIP_STD
from fewvid.errors import UserError, closest
from fewvid.models.config import (
    AdapterConfig,
    DecoderConfig,
    EncoderConfig,
    LvlmConfig,
    SamplerConfig,
    visual_tokens_per_frame,
)

DTYPES = ("float32", "bfloat16")
BYTES = {"float32": 4, "bfloat16": 2}


@dataclass(frozen=True)
class Size:
    """A model, and how much of each kind of work it is timed at.

    dtype: of the weights and of what is computed. picture: height and width, in pixels, of the
    frames that `clip` starts from. frames: T of a clip. keeps: K of each prefill, the first being
    that of everything else. text: ids of a question, a power of two from 32 on. encode: frames at
    once. batches: rows that are decoded at once, each after T * K + text tokens; tokens: how many
    follow. train: (rows, K) of a step; answers: ids of a row that it learns. product: the side of
    the square product that measures the arithmetic ceiling; copy: bytes of the array whose copy
    measures that of memory.
    """

    model: LvlmConfig
    dtype: str
    picture: tuple[int, int]
    frames: int
    keeps: tuple[int, ...]
    text: int
    encode: tuple[int, ...]
    batches: tuple[int, ...]
    tokens: int
    train: tuple[tuple[int, int], ...]
    answers: int
    product: int
    copy: int

    def visual(self, keep: int) -> int:
        """Visual tokens of a prompt: T * K, or T * Q after learned queries."""
        return self.frames * visual_tokens_per_frame(self.model, keep)

    def length(self, keep: int) -> int:
        """Tokens of a prompt: the visual ones and the text."""
        return self.visual(keep) + self.text

    def to_dict(self) -> dict[str, Any]:
        """Plain nested dicts, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Size:
        """The inverse of `to_dict`, after JSON too, which has no tuples."""
        given: dict[str, Any] = {key: _tuples(value) for key, value in values.items()}
        given["model"] = LvlmConfig.from_dict(values["model"])
        return cls(**given)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list | tuple) else value


def _clip_encoder(image: int, patch: int, width: int, depth: int, heads: int) -> EncoderConfig:
    """A vision tower of CLIP."""
    return EncoderConfig(
        image_size=image,
        patch_size=patch,
        width=width,
        depth=depth,
        heads=heads,
        mlp_width=4 * width,
        pre_norm=True,
        post_norm=False,
        patch_bias=False,
        activation="quick_gelu",
        norm_eps=1e-5,
        mean=CLIP_MEAN,
        std=CLIP_STD,
        fit="crop",
    )


def _llava(encoder: EncoderConfig, decoder: DecoderConfig) -> LvlmConfig:
    """The parts joined as LLaVA-1.5 joins them: two layers, and nothing but their own response."""
    adapter = AdapterConfig(queries="projector", width=decoder.width)
    return LvlmConfig(encoder, SamplerConfig(response="encoder"), adapter, decoder)


LONGEST = 32_768  # tokens of a prompt: all of 32 frames of 576
CLIP_B_32 = _clip_encoder(224, 32, 768, 12, 12)
CLIP_L_14_336 = _clip_encoder(336, 14, 1024, 24, 16)
SIGLIP_SO400M = EncoderConfig(
    image_size=384,
    patch_size=14,
    width=1152,
    depth=27,
    heads=16,
    mlp_width=4304,
    cls_token=False,
    fit="bicubic",
)
QWEN_0_5B = DecoderConfig(
    vocab_size=151_936,
    width=896,
    depth=24,
    heads=14,
    kv_heads=2,
    head_dim=64,
    mlp_width=4864,
    rope_theta=1e6,
    norm_eps=1e-6,
    max_length=LONGEST,
    qkv_bias=True,
)
VICUNA_7B = DecoderConfig(
    vocab_size=32_000,
    width=4096,
    depth=32,
    heads=32,
    kv_heads=32,
    head_dim=128,
    mlp_width=11_008,
    tie_embeddings=False,
    max_length=LONGEST,
)
TINY = _llava(
    _clip_encoder(64, 8, 64, 2, 4),
    DecoderConfig(width=64, heads=4, kv_heads=2, qkv_bias=True, max_length=LONGEST),
)

# What a large model is timed at, also one of a user's own.
FULL: dict[str, Any] = {
    "picture": (360, 640),
    "frames": 32,
    "keeps": (64, 16, 256),
    "text": 64,
    "encode": (128, 32),
    "batches": (1, 8),
    "tokens": 64,
    "train": ((4, 64), (1, 256)),
    "answers": 64,
    "product": 8192,
    "copy": 2**31,
}
SMALL: dict[str, Any] = {
    "picture": (360, 640),
    "frames": 8,
    "keeps": (16, 49),
    "text": 32,
    "encode": (8, 1),
    "batches": (1, 4),
    "tokens": 16,
    "train": ((1, 16),),
    "answers": 16,
    "product": 2048,
    "copy": 2**28,
}
SIZES = {
    "tiny": Size(
        model=TINY,
        dtype="float32",
        picture=(90, 160),
        frames=4,
        keeps=(8, 64),
        text=32,
        encode=(8,),
        batches=(1, 2),
        tokens=8,
        train=((2, 8),),
        answers=8,
        product=512,
        copy=2**22,
    ),
    "cpu": Size(_llava(CLIP_B_32, QWEN_0_5B), "float32", **SMALL),
    "vicuna_7b": Size(_llava(CLIP_L_14_336, VICUNA_7B), "bfloat16", **FULL),
    "qwen_0_5b": Size(_llava(CLIP_L_14_336, QWEN_0_5B), "bfloat16", **FULL),
}


def find(name: str) -> Size:
    """The size of that name. Raises UserError that lists them and names the closest."""
    if name not in SIZES:
        known = ", ".join(SIZES)
        raise UserError(f"no size {name!r}; --size takes {known}.{closest(name, SIZES)}")
    return SIZES[name]


def of_model(config: LvlmConfig, dtype: str, frames: int) -> Size:
    """A size for a model of one's own: its shapes at the work of a large or a small one.

    dtype: of DTYPES; frames: T, as many as the model is used with.
    """
    n = config.encoder.tokens
    work = FULL if dtype == "bfloat16" else SMALL
    keep = max(min(work["keeps"][0], n // 4), 1)
    room = dataclasses.replace(config.decoder, max_length=max(config.decoder.max_length, LONGEST))
    given = {"frames": frames, "keeps": tuple(dict.fromkeys((keep, n))), "train": ((1, keep),)}
    return Size(dataclasses.replace(config, decoder=room), dtype, **work | given)
