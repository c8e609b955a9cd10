"""How large the runs of configs/*.py are: a row a size, of the built-in world or of real models."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fewvid.bench.sizes import CLIP_L_14_336, QWEN_0_5B, SIGLIP_SO400M, VICUNA_7B
from fewvid.errors import UserError, closest
from fewvid.models.config import (
    AdapterConfig,
    DecoderConfig,
    EncoderConfig,
    LvlmConfig,
    SamplerConfig,
)
from fewvid.training.stage import WorldConfig

# The shipped model: K = 8 of N = 64 tokens of a frame, which are the adapter's queries.
SHAPES = LvlmConfig(
    EncoderConfig(),
    SamplerConfig(keep=8),
    AdapterConfig(queries="tokens", change=True),
    DecoderConfig(vocab_size=256, depth=3),
)


@dataclass(frozen=True)
class Parts:
    """The models of Hugging Face that a real size joins, and the folder its configs start from."""

    encoder: str
    llm: str
    folder: str

    @property
    def command(self) -> str:
        """What makes the folder."""
        return (
            f"python -m fewvid convert import --encoder {self.encoder} --llm {self.llm} "
            f"--out {self.folder}"
        )


@dataclass(frozen=True)
class Size:
    """How large a run is. steps: of each kind of stage, by name."""

    model: LvlmConfig
    world: WorldConfig
    steps: Mapping[str, int]
    batch_size: int
    frames: int
    questions: int
    length: int  # bos, visual tokens, and 16 a question with its answer (at most that many)
    blocks: int  # of the encoder, counted from its end, that pretrain trains
    checkpoint_every: int
    resident: bool  # whether stages with a frozen encoder keep their features on the device
    learning_rates: Mapping[str, float] = field(default_factory=dict)  # 1e-3 where not named
    parts: Parts | None = None  # of a real size, which begins with an imported model
    accumulate: int = 1  # of a stage that trains the encoder on clips: with gradients 32 frames a
    # row take more of a chip than the decoder does

    @property
    def picture_frames(self) -> int:
        """T of a stage that sees pictures alone: a real size pays for no padding."""
        return 1 if self.parts else self.frames


# CLIP as models built on it take it: up to the layer before its last.
CLIP_L_14_336_USED = dataclasses.replace(CLIP_L_14_336, depth=CLIP_L_14_336.depth - 1)


def _real(
    encoder: EncoderConfig,
    decoder: DecoderConfig,
    parts: Parts,
    batch_size: int,
    accumulate: int = 1,
) -> Size:
    """The model that `parts.command` makes, at 32 frames of which K = 64 tokens are kept."""
    adapter = AdapterConfig("tokens", 1, encoder.width, encoder.heads)
    return Size(
        model=LvlmConfig(encoder, SamplerConfig(), adapter, decoder),
        world=WorldConfig(),
        steps={"align": 2000, "pretrain": 2000, "instruct": 3000, "video": 1000},
        batch_size=batch_size,
        frames=32,
        questions=8,
        length=64 * 32 + 256,
        blocks=3,
        checkpoint_every=200,
        resident=False,
        learning_rates={"pretrain": 1e-4, "instruct": 2e-5, "video": 2e-5},
        parts=parts,
        accumulate=accumulate,
    )


SIZES = {
    "tiny": Size(
        model=LvlmConfig.tiny(),
        world=WorldConfig(clips=24, images=32),
        steps={
            "images": 10,
            "albums": 10,
            "align": 10,
            "pretrain": 10,
            "instruct": 12,
            "video": 10,
        },
        batch_size=8,
        frames=4,
        questions=4,
        length=96,
        blocks=1,
        checkpoint_every=4,
        resident=False,
    ),
    "shapes": Size(
        model=SHAPES,
        world=WorldConfig(clips=2000, images=5000),
        steps={
            "images": 20_000,
            "albums": 4000,
            "align": 500,
            "pretrain": 1000,
            "instruct": 2000,
            "video": 1000,
        },
        batch_size=48,
        frames=8,
        questions=8,
        length=208,
        blocks=3,
        checkpoint_every=200,
        resident=True,
    ),
    "vicuna_7b": _real(
        CLIP_L_14_336_USED,
        dataclasses.replace(VICUNA_7B, vocab_size=32_064),  # the words, and those of pictures
        Parts("openai/clip-vit-large-patch14-336", "lmsys/vicuna-7b-v1.5", "models/vicuna_7b"),
        batch_size=256,
    ),
    "qwen_0_5b": _real(
        SIGLIP_SO400M,
        QWEN_0_5B,
        Parts("google/siglip-so400m-patch14-384", "Qwen/Qwen2-0.5B", "models/qwen_0_5b"),
        batch_size=64,
        accumulate=4,  # 8 rows at once need 25 GiB of a chip, and v5e has 16
    ),
}
OF_THE_WORLD = ("tiny", "shapes")


def size(arg: str, known: Sequence[str] = tuple(SIZES)) -> Size:
    """The size that a config's argument names, one of `known`. Raises UserError listing them."""
    if arg not in known:
        raise UserError(
            f"unknown config argument {arg!r}; write config.py:ARG with ARG one of "
            f"{', '.join(known)}.{closest(arg, known)}"
        )
    return SIZES[arg]
