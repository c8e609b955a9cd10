"""The stages and strategies of the built-in world as data: what configs/*.py are made of.

A config picks a size (`tiny` for tests, `shapes` for real) and lists stages; a strategy is such a
list. Nothing here is known to the loop: a config of one's own needs none of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from fewvid.errors import UserError, closest
from fewvid.models.config import (
    AdapterConfig,
    DecoderConfig,
    EncoderConfig,
    LvlmConfig,
    SamplerConfig,
)
from fewvid.training.stage import MeshConfig, OptimizerConfig, WorldConfig

Config = Any  # an ml_collections.ConfigDict; what type a key has is not known to a type checker
Sources = tuple[tuple[str, float], ...]  # (manifest, weight)
IMAGE_CAPTIONS = "shapes:train/image_captions.json"
IMAGES: Sources = (("shapes:train/images.json", 1.0),)
VIDEOS: Sources = (("shapes:train/videos.json", 1.0),)
IMAGES_AND_VIDEOS: Sources = (("shapes:train/images.json", 1.0), ("shapes:train/videos.json", 2.0))


# The shipped model: K = 8 of N = 64 tokens of a frame, which are the adapter's queries.
SHAPES = LvlmConfig(
    EncoderConfig(),
    SamplerConfig(keep=8),
    AdapterConfig(queries="tokens", change=True),
    DecoderConfig(vocab_size=256, depth=3),
)


@dataclass(frozen=True)
class Size:
    """How large a run of the built-in world is. steps: of each kind of stage, by name."""

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
}


EXAM_CLIPS = {"tiny": 16, "full": 300}  # clips, and as many pictures, that a demo asks about


def size(arg: str) -> Size:
    """The size that a config's argument names. Raises UserError listing them."""
    if arg not in SIZES:
        known = ", ".join(SIZES)
        raise UserError(
            f"unknown config argument {arg!r}; write config.py:ARG with ARG one of {known}."
            f"{closest(arg, SIZES)}"
        )
    return SIZES[arg]


def from_nothing(chosen: Size) -> Config:
    """All parts together, on images and captions, where nothing is trained yet."""
    sources = ((IMAGE_CAPTIONS, 1.0), (IMAGES[0][0], 6.0))
    stage = _stage("images", chosen, sources, (".*",), resident=True)
    stage.update(frames=1, answers=28)
    if chosen is SIZES["shapes"]:
        stage.update(batch_size=192, questions=6, length=108, checkpoint_every=4000)
    return stage


def albums(chosen: Size) -> Config:
    """The adapter and the decoder, on pictures and slide shows of unrelated pictures.

    What tells frames apart learns nothing here: in a slide show all of a frame has changed.
    """
    stage = instruct(chosen, ((IMAGES[0][0], 1.0), ("shapes:train/albums.json", 2.0)))
    stage.update(name="albums", steps=chosen.steps["albums"])
    stage.update(trainable=("adapter/(?!change/).*", "decoder/.*"))
    if chosen is SIZES["shapes"]:
        stage.update(batch_size=96, questions=5, length=145, answers=10, checkpoint_every=1000)
        stage["optimizer"].update(learning_rate=1.5e-3, weight_decay=0.02)
        stage.sources[0].fraction = 0.1
    return stage


def align(chosen: Size, sources: Sources = IMAGES) -> Config:
    """Stage 1: the adapter alone learns to speak to the decoder."""
    return _stage("align", chosen, sources, ("adapter/.*",))


def pretrain(chosen: Size, sources: Sources = IMAGES) -> Config:
    """Stage 2: the adapter and the encoder's last blocks."""
    return _stage(
        "pretrain", chosen, sources, ("adapter/.*", f"encoder/layers/.*@-{chosen.blocks}:")
    )


def instruct(chosen: Size, sources: Sources = IMAGES) -> Config:
    """Stage 3: the adapter and the decoder; the encoder is frozen, so each file is encoded once."""
    return _stage("instruct", chosen, sources, ("adapter/.*", "decoder/.*"), frozen=True)


def video(chosen: Size) -> Config:
    """The fourth stage of S4-V: as stage 3, on videos alone."""
    return _stage("video", chosen, VIDEOS, ("adapter/.*", "decoder/.*"), frozen=True)


def demo(budget: str) -> Config:
    """The demo's S3-IV: the shipped image model, few clips, temporal questions preferred.

    budget: `full` (minutes on two cores) or `tiny` (to see that it runs).
    """
    chosen, small = SIZES["shapes"], budget == "tiny"
    stage = instruct(chosen, ((IMAGES[0][0], 4.0), (VIDEOS[0][0], 6.0), (VIDEOS[0][0], 1.0)))
    stage.update(steps=12 if small else 480, batch_size=40, questions=5, length=145, answers=10)
    stage.update(checkpoint_every=100)
    # What is new is in the adapter; the decoder, which knows the pictures, moves less.
    stage["optimizer"].update(learning_rate=3e-3, weight_decay=0.02, scale={"decoder": 0.4})
    stage["optimizer"].update(warmup=2 if small else 50)
    stage.sources[1].kind = "temporal"
    run = config([stage], start="shapes", chosen=chosen)
    run.world.update(clips=160 if small else 3000, images=64 if small else 2000)
    return run


def config(stages: Sequence[Config], *, start: Size | str, chosen: Size) -> Config:
    """A run. start: a size (random parameters of its model) or a model to go on from."""
    return ConfigDict(
        {
            "seed": 0,
            "compute_dtype": "float32",
            "remat": "none",
            "init_from": start if isinstance(start, str) else "",
            "model": {} if isinstance(start, str) else start.model.to_dict(),
            "mesh": asdict(MeshConfig()),
            "world": asdict(chosen.world),
            "stages": tuple(stages),
        }
    )


def _stage(
    name: str,
    chosen: Size,
    sources: Sources,
    trainable: tuple[str, ...],
    *,
    frozen: bool = False,
    resident: bool = False,
) -> Config:
    """frozen: whether the encoder is, so that each file is encoded once."""
    steps = chosen.steps[name]
    optimizer = OptimizerConfig(learning_rate=1e-3, warmup=min(50, steps // 5), weight_decay=0.01)
    values: dict[str, Any] = {
        "name": name,
        "trainable": trainable,
        "sources": tuple(_source(manifest, weight) for manifest, weight in sources),
        "steps": steps,
        "batch_size": chosen.batch_size,
        "frames": chosen.frames,
        "keep": placeholder(object),  # one K, or several in a tuple
        "sampler": placeholder(str),
        "questions": chosen.questions,
        "length": chosen.length,
        "answers": 2 * chosen.questions,  # a word and the end
        "optimizer": asdict(optimizer),
        "cache_features": frozen,
        "max_bad_fraction": 0.05,
        "resident": resident or (frozen and chosen.resident),
        "checkpoint_every": chosen.checkpoint_every,
    }
    return ConfigDict(values)


def _source(manifest: str, weight: float) -> Config:
    # None has no type: a placeholder lets --config.stages[0].sources[0].kind=temporal set it.
    return ConfigDict(
        {
            "manifest": manifest,
            "weight": weight,
            "fraction": 1.0,
            "kind": placeholder(str),
            "dimension": placeholder(str),
        }
    )
