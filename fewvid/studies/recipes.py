"""The sizes of the studies, and the words that configs/studies/*.py are written in.

A config lists cells and exams; what they share is here, so that the same cell of two studies is the
same experiment, trained once (`--cells`).

What a cell does not say (sampler, K, strategy, clips) is the product's recipe: `attention`,
K = N / 8 and S3-IV, which docs/results found to cost nothing (`keep`, `strategies`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ml_collections import ConfigDict

from fewvid.errors import UserError, closest
from fewvid.models.config import (
    AdapterConfig,
    DecoderConfig,
    EncoderConfig,
    LvlmConfig,
    SamplerConfig,
)
from fewvid.models.patches import halved
from fewvid.studies.config import CellConfig, ExamConfig, ScaleConfig, StudyConfig
from fewvid.training.recipes import SHAPES

Config = Any


@dataclass(frozen=True)
class Size:
    """How large a study is. keep: the K of a cell that names none."""

    name: str
    seeds: int
    keep: int
    frames: int
    scale: ScaleConfig

    @property
    def tokens(self) -> int:
        """N, the tokens of a frame."""
        return EncoderConfig(**self.scale.model["encoder"]).tokens


TINY = LvlmConfig(
    EncoderConfig(patch_size=16, width=32, depth=1, heads=2, mlp_width=64),
    SamplerConfig(),
    AdapterConfig(queries="tokens", change=True),
    DecoderConfig(vocab_size=256, depth=3),
)
SIZES = {
    "tiny": Size(
        name="tiny",
        seeds=3,
        keep=2,
        frames=8,
        scale=ScaleConfig(
            clips=48,
            model=TINY.to_dict(),
            base_pictures=128,
            base_steps=20,
            base_batch=16,
            base_rate=2e-3,
            base_keep=(16,),
            pictures=64,
            test=16,
            steps=10,
            batch_clips=4,
            batch_pictures=2,
            questions=4,
            rate=3e-3,
            decoder_rate=0.4,
            warmup=2,
            weight_decay=0.02,
            together=9,
            quick=True,
        ),
    ),
    # The packaged image model on two cores: a study takes from ten minutes to an hour.
    "laptop": Size(
        name="laptop",
        seeds=3,
        keep=8,
        frames=8,
        scale=ScaleConfig(
            clips=3000,
            start="shapes",
            model=SHAPES.to_dict(),
            pictures=2000,
            test=400,
            steps=400,
            batch_clips=24,
            batch_pictures=12,
            questions=5,
            rate=3e-3,
            decoder_rate=0.4,
            warmup=40,
            weight_decay=0.02,
            together=3,
        ),
    ),
    # The packaged image model with patches of half the side: 256 tokens a frame instead of 64.
    "full": Size(
        name="full",
        seeds=3,
        keep=32,
        frames=8,
        scale=ScaleConfig(
            clips=20_000,
            start="shapes",
            model=halved(SHAPES).to_dict(),
            base_pictures=60_000,
            base_steps=4000,
            base_batch=128,
            base_rate=1e-3,
            base_keep=(256,),
            pictures=20_000,
            test=1000,
            steps=3000,
            batch_clips=48,
            batch_pictures=16,
            questions=6,
            rate=3e-3,
            decoder_rate=0.4,
            warmup=50,
            weight_decay=0.02,
            together=12,
            dtype="bfloat16",
        ),
    ),
}

CLIPS = ExamConfig("clips")
ONE_FRAME = ExamConfig("one frame", one_frame=True)
PICTURES = ExamConfig("pictures", medium="image")


def size(arg: str) -> Size:
    """The size that a config's argument names. Raises UserError listing them."""
    if arg not in SIZES:
        raise UserError(
            f"unknown config argument {arg!r}; write config.py:ARG with ARG one of "
            f"{', '.join(SIZES)}.{closest(arg, SIZES)}"
        )
    return SIZES[arg]


def cell(chosen: Size, name: str, **changes: Any) -> CellConfig:
    """The product's recipe but for `changes`, which are fields of CellConfig."""
    values: dict[str, Any] = {
        "keep": chosen.keep,
        "clips": chosen.scale.clips,
        "frames": chosen.frames,
    }
    return CellConfig(name=name, **values | changes)


def twice_the_steps(chosen: Size, once: CellConfig) -> CellConfig:
    """The same cell trained for twice as long: whether a difference is one of learning sooner."""
    name = f"{once.name}, twice the steps"
    return replace(once, name=name, steps=2 * chosen.scale.steps)


def study(
    name: str,
    chosen: Size,
    cells: Sequence[CellConfig],
    exams: Sequence[ExamConfig] = (CLIPS, PICTURES),
    *,
    measure: Sequence[str] = (),
) -> Config:
    """A study as a ConfigDict."""
    made = StudyConfig(
        study=name,
        size=chosen.name,
        seeds=chosen.seeds,
        scale=chosen.scale,
        cells=tuple(cells),
        exams=tuple(exams),
        measure=tuple(measure),
    )
    return ConfigDict(asdict(made))
