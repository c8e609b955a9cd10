"""Which values of a run's config cannot work, as far as the config alone tells.

All of it is said before a run takes its working directory, with the key to change.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fewvid.data.manifest import KINDS
from fewvid.data.mixtures import Source
from fewvid.errors import UserError, check_seed, closest
from fewvid.models import remat
from fewvid.training.sizes import model_of

if TYPE_CHECKING:
    from fewvid.training.stage import (
        LoraConfig,
        OptimizerConfig,
        RunConfig,
        StageConfig,
        WorldConfig,
    )

WORLD = "shapes:"
TO_BE_GIVEN = "<your "  # begins what stands for a manifest that a config leaves to the user
COMPUTE_DTYPES = ("float32", "bfloat16")
OPTIMIZERS = ("adamw", "adafactor", "muon")
PARTS = ("encoder", "adapter", "decoder")
FOLDERS = ("train", "validation", "test")
# The manifests of the miniature world, and which key says how many files they are about.
MANIFESTS = {
    "videos.json": "clips",
    "video_captions.json": "clips",
    "images.json": "images",
    "image_captions.json": "images",
    "albums.json": "albums",
}


def check_run(run: RunConfig) -> None:
    """Raises UserError for the first value of a run that cannot work."""
    if bool(run.model) == bool(run.init_from):
        raise UserError(
            "config.model (sizes, for a random start) and config.init_from (a model to start "
            f"from): give one of them, got {'both' if run.model else 'neither'}"
        )
    check_seed(run.seed, "config.seed")
    if run.model:
        model_of(run.model, "config.model")
    for key, known in (("compute_dtype", COMPUTE_DTYPES), ("remat", remat.NAMES)):
        if (got := getattr(run, key)) not in known:
            raise UserError(
                f"config.{key} is {got!r}, wanted one of {', '.join(known)}.{closest(got, known)}"
            )
    if run.expects:
        model_of(run.expects, "config.expects")
        if run.model:
            raise UserError(
                "config.expects says what init_from holds; with config.model it is empty"
            )
    if not run.stages:
        raise UserError("config.stages is empty: a run needs at least one stage")
    names = [stage.name for stage in run.stages]
    if len(set(names)) < len(names):
        raise UserError(f"config.stages: two stages have one name, got {names}")
    sources = [source for stage in run.stages for source in stage.sources]
    if any(is_of_world(source) for source in sources):
        check_world(run.world)
    for index, stage in enumerate(run.stages):
        where = f"config.stages[{index}]"
        check_stage(stage, where)
        check_optimizer(stage.optimizer, stage.steps, f"{where}.optimizer")
        check_lora(stage.lora, f"{where}.lora")
        for number, source in enumerate(stage.sources):
            check_source(source, run.world, f"{where}.sources[{number}]")


def check_stage(stage: StageConfig, where: str) -> None:
    """Raises UserError for what a stage cannot be, its optimizer and its sources apart."""
    counts = ("steps", "batch_size", "accumulate", "frames", "questions", "answers")
    for key in (*counts, "checkpoint_every", "max_skipped"):
        if getattr(stage, key) < 1:
            raise UserError(f"{where}.{key} is {getattr(stage, key)}, must be at least 1")
    if stage.questions > stage.answers:
        raise UserError(
            f"{where}.questions is {stage.questions}, more than answers={stage.answers} have room "
            "for: every question takes at least one answer id"
        )
    if isinstance(stage.keep, tuple) and not 0 < len(set(stage.keep)) == len(stage.keep):
        raise UserError(
            f"{where}.keep is {stage.keep}, wanted one K or several that differ, such as (4, 8)"
        )
    if not 0 <= stage.max_bad_fraction <= 1:
        raise UserError(f"{where}.max_bad_fraction is {stage.max_bad_fraction}, must be 0 to 1")
    if stage.spike and not 1 < stage.spike < math.inf:
        raise UserError(f"{where}.spike is {stage.spike}, must be above 1, or 0 for none")
    if not stage.trainable:
        raise UserError(f"{where}.trainable is empty: name what trains, such as ('adapter/.*',)")
    if not stage.sources:
        raise UserError(f"{where}.sources is empty: name a manifest to train on")
    if not stage.name.strip() or "/" in stage.name or stage.name.startswith("."):
        raise UserError(f"{where}.name is {stage.name!r}, must be fit to name a folder")


def check_optimizer(optimizer: OptimizerConfig, steps: int, where: str) -> None:
    """Raises UserError for what no optimizer of a stage of so many steps can be."""
    if optimizer.name not in OPTIMIZERS:
        raise UserError(
            f"{where}.name is {optimizer.name!r}, wanted one of {', '.join(OPTIMIZERS)}."
            f"{closest(optimizer.name, OPTIMIZERS)}"
        )
    for key in ("learning_rate", "clip"):
        if not 0 < (got := getattr(optimizer, key)) < math.inf:
            raise UserError(f"{where}.{key} is {got}, must be a number above 0")
    if not 0 <= optimizer.weight_decay < math.inf:
        raise UserError(f"{where}.weight_decay is {optimizer.weight_decay}, must be 0 or more")
    for part, factor in optimizer.scale.items():
        if part not in PARTS:
            raise UserError(
                f"unknown part {where}.scale.{part}; known: {', '.join(PARTS)}."
                f"{closest(part, PARTS)}"
            )
        if isinstance(factor, bool) or not isinstance(factor, int | float):
            raise UserError(f"{where}.scale.{part} is {factor!r}, wanted a number")
        if not 0 <= factor < math.inf:
            raise UserError(f"{where}.scale.{part} is {factor}, must be 0 or more")
    schedules = ("cosine", "constant")
    if optimizer.schedule not in schedules:
        raise UserError(
            f"{where}.schedule is {optimizer.schedule!r}, wanted 'cosine' or 'constant'"
            f".{closest(optimizer.schedule, schedules)}"
        )
    if not 0 <= optimizer.warmup <= steps:
        raise UserError(f"{where}.warmup is {optimizer.warmup}, must be in 0..steps={steps}")


def check_lora(lora: LoraConfig, where: str) -> None:
    """Raises UserError for what LoRA cannot be, whatever the model."""
    if lora.rank < 0:
        raise UserError(f"{where}.rank is {lora.rank}, must be 0 (no LoRA) or more, such as 16")
    if not 0 < lora.alpha < math.inf:
        raise UserError(f"{where}.alpha is {lora.alpha}, must be a number above 0")
    if not lora.targets:
        raise UserError(f"{where}.targets is empty: name what it is for, such as ('decoder/.*',)")


def check_world(world: WorldConfig) -> None:
    """Raises UserError for a miniature world that cannot be drawn."""
    from fewvid.data.shapes.scene import MOST

    check_seed(world.seed, "config.world.seed")
    for key in ("clips", "images", "albums"):
        if (got := getattr(world, key)) < 0:
            raise UserError(f"config.world.{key} is {got}, must be 0 or more")
    if not 1 <= world.things <= MOST:
        raise UserError(f"config.world.things is {world.things}, must be 1 to {MOST}")


def check_source(source: Source, world: WorldConfig, where: str) -> None:
    """Raises UserError for a source that no manifest can serve, or that the world has none of."""
    if not 0 < source.weight < math.inf:
        raise UserError(f"{where}.weight is {source.weight}, must be a number above 0")
    if not 0 < source.fraction <= 1:
        raise UserError(f"{where}.fraction is {source.fraction}, must be above 0 and at most 1")
    check_seed(source.fraction_seed, f"{where}.fraction_seed")
    if source.kind is not None and source.kind not in KINDS:
        raise UserError(
            f"{where}.kind is {source.kind!r}, wanted {' or '.join(KINDS)}."
            f"{closest(source.kind, KINDS)}"
        )
    if is_of_world(source):
        _check_source_of_world(source, world, where)


def is_of_world(source: Source) -> bool:
    """Whether a source is of the miniature world, and not a file of the user's."""
    return str(source.manifest).startswith(WORLD)


def _check_source_of_world(source: Source, world: WorldConfig, where: str) -> None:
    from fewvid.data.shapes.questions import chances

    folder, _, name = str(source.manifest).removeprefix(WORLD).partition("/")
    if folder not in FOLDERS:
        raise UserError(
            f"{where}.manifest is {source.manifest!r}: after 'shapes:' goes {', '.join(FOLDERS)} "
            "and a manifest, such as shapes:train/videos.json"
        )
    if name not in MANIFESTS:
        if world.path:  # where a user may have put a manifest of another name
            return
        raise UserError(
            f"{where}.manifest is {source.manifest!r}, but the world has {', '.join(MANIFESTS)}."
            f"{closest(name, MANIFESTS)}"
        )
    if not getattr(world, MANIFESTS[name]):
        raise UserError(
            f"{where}.manifest is {source.manifest!r}, but config.world.{MANIFESTS[name]} is 0: "
            "set it above 0 or take the source out"
        )
    if source.kind == "temporal" and name != "videos.json":
        raise UserError(f"{where}.kind is 'temporal', but {name} has static samples alone")
    known = [*chances(world.things), "caption"]
    for got in source.dimension.split(",") if source.dimension is not None else ():
        if got not in known:
            raise UserError(
                f"{where}.dimension is {source.dimension!r}, but a world of {world.things} things "
                f"has {', '.join(known)}.{closest(got, known)}"
            )
