"""The stages and strategies as data: what configs/*.py are made of.

A config picks a size (see `recipe_sizes`) and lists stages; a strategy is such a list. A size of
the built-in world trains on that; of a real one the manifests are the user's own. Nothing here is
known to the loop: a config of one's own needs none of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from fewvid.training.limits import TO_BE_GIVEN
from fewvid.training.recipe_sizes import OF_THE_WORLD, SHAPES, SIZES, Size, size
from fewvid.training.stage import LoraConfig, MeshConfig, OptimizerConfig

__all__ = [
    "OF_THE_WORLD",
    "SHAPES",
    "SIZES",
    "Size",
    "albums",
    "align",
    "config",
    "demo",
    "from_nothing",
    "instruct",
    "pretrain",
    "size",
    "video",
]
Config = Any  # an ml_collections.ConfigDict; what type a key has is not known to a type checker
Sources = tuple[tuple[str, float], ...]  # (manifest, weight)
IMAGE_CAPTIONS = "shapes:train/image_captions.json"
IMAGES: Sources = (("shapes:train/images.json", 1.0),)
VIDEOS: Sources = (("shapes:train/videos.json", 1.0),)
IMAGES_AND_VIDEOS: Sources = (("shapes:train/images.json", 1.0), ("shapes:train/videos.json", 2.0))
# What stands for them at a real size until the user names a manifest.
_OWN = {IMAGES[0][0]: f"{TO_BE_GIVEN}images>", VIDEOS[0][0]: f"{TO_BE_GIVEN}videos>"}
# K at a real size: N / 9 of CLIP-L/14-336; docs/results/keep found N / 8 to cost nothing.
KEEP = 64

EXAM_CLIPS = {"tiny": 16, "full": 300}  # clips, and as many pictures, that a demo asks about


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
    stage.update(steps=12 if small else 480, batch_size=40, questions=5, length=170, answers=10)
    stage.update(checkpoint_every=100)
    # What is new is in the adapter; the decoder, which knows the pictures, moves less.
    stage["optimizer"].update(learning_rate=3e-3, weight_decay=0.02, scale={"decoder": 0.4})
    stage["optimizer"].update(warmup=2 if small else 50)
    stage.sources[1].kind = "temporal"
    run = config([stage], start="shapes", chosen=chosen)
    run.world.update(clips=160 if small else 3000, images=64 if small else 2000)
    return run


def config(stages: Sequence[Config], *, start: Size | str, chosen: Size) -> Config:
    """A run. start: a size (random parameters of its model) or a model to go on from.

    A run of a real size computes in bfloat16, splits its parameters over all chips, and starts
    from the imported model of its parts where it would else start from random parameters.
    """
    real = chosen.parts
    if real and not isinstance(start, str):
        start = real.folder
    return ConfigDict(
        {
            "seed": 0,
            "compute_dtype": "bfloat16" if real else "float32",
            "remat": "full" if real else "none",
            "init_from": start if isinstance(start, str) else "",
            "model": {} if isinstance(start, str) else start.model.to_dict(),
            "expects": chosen.model.to_dict() if real else {},
            "mesh": asdict(MeshConfig(data=1, fsdp=-1) if real else MeshConfig()),
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
    steps, real = chosen.steps[name], chosen.parts is not None
    rate = chosen.learning_rates.get(name, 1e-3)
    optimizer = OptimizerConfig(rate, warmup=min(50, steps // 5), weight_decay=0.01)
    frames = chosen.picture_frames if sources == IMAGES else chosen.frames
    length = chosen.length
    through = frames > 1 and any(path.startswith("encoder/") for path in trainable)
    if real:
        length -= (chosen.frames - frames) * KEEP
        sources = tuple((_OWN[manifest], weight) for manifest, weight in sources)
    values: dict[str, Any] = {
        "name": name,
        "trainable": trainable,
        "sources": tuple(_source(manifest, weight) for manifest, weight in sources),
        "steps": steps,
        "batch_size": chosen.batch_size,
        "frames": frames,
        "keep": placeholder(object),  # one K, or several in a tuple
        "sampler": placeholder(str),
        "questions": chosen.questions,
        "length": length,
        "answers": 128 if real else 2 * chosen.questions,  # else a word and the end
        "optimizer": asdict(optimizer),
        "lora": asdict(LoraConfig()),
        "accumulate": chosen.accumulate if through else 1,
        "cache_features": frozen and not real,  # more files than a host has room for
        "max_bad_fraction": 0.05,
        "resident": resident or (frozen and chosen.resident),
        "checkpoint_every": chosen.checkpoint_every,
        "spike": 0.0,
        "max_skipped": 5,
    }
    made = ConfigDict(values)
    if real:
        made.keep = KEEP
    return made


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
