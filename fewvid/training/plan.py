"""Works out a stage before anything trains: what it trains, on what, in which shapes.

Every mistake that a config can hold shows here, for all stages at once, and not after hours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jax.sharding import Mesh

from fewvid.data.batches import BatchShape
from fewvid.errors import UserError, closest
from fewvid.models.config import LvlmConfig, visual_tokens_per_frame
from fewvid.parallel.mesh import batch_rows, rows_said
from fewvid.samplers import SAMPLERS
from fewvid.training import keeps, lora
from fewvid.training import trainable as subtree
from fewvid.training.sizes import check_keep
from fewvid.training.stage import StageConfig
from fewvid.training.trainable import Trainable


@dataclass(frozen=True)
class StagePlan:
    """A stage and what follows from it. index: from 0; keeps: every K that its steps may have,
    ascending; shape: of a batch as it is packed, which is for the largest K; low_rank: how many
    parameters of a part are those of LoRA.
    """

    index: int
    stage: StageConfig
    trainable: Trainable
    shape: BatchShape
    keeps: tuple[int, ...]
    low_rank: Mapping[str, int]

    @property
    def folder(self) -> str:
        """Its name in `stages/` and `checkpoints/`."""
        return f"{self.index}-{self.stage.name}"


def make_plan(
    stages: Sequence[StageConfig], config: LvlmConfig, params: Mapping[str, Any], mesh: Mesh
) -> list[StagePlan]:
    """Plans all stages for a model (`params` may be shapes). Raises UserError with the stage."""
    plans = []
    for index, stage in enumerate(stages):
        try:
            plans.append(_plan(index, stage, config, params, mesh))
        except UserError as error:
            raise UserError(f"config.stages[{index}] ({stage.name}): {error}") from None
    return plans


def _plan(
    index: int, stage: StageConfig, config: LvlmConfig, params: Mapping[str, Any], mesh: Mesh
) -> StagePlan:
    chosen = subtree.select(params, stage.trainable)
    grown = lora.grown(params, stage.lora)
    chosen = lora.trains(chosen, grown, stage.lora)
    if stage.cache_features and any(path.startswith("encoder/") for path in chosen):
        raise UserError(
            "cache_features=True needs a frozen encoder, but trainable or lora.targets covers "
            "encoder/ paths; take them out or set cache_features=False"
        )
    for part in stage.optimizer.scale:
        if not any(path.startswith(f"{part}/") for path in chosen):
            raise UserError(f"optimizer.scale names {part}, which does not train here; take it out")
    if stage.batch_size % batch_rows(mesh):
        raise UserError(
            f"batch_size {stage.batch_size} does not divide over {rows_said(mesh)}; make it a "
            f"multiple of {batch_rows(mesh)}"
        )
    if stage.batch_size % (parts := stage.accumulate * batch_rows(mesh)):
        raise UserError(
            f"batch_size {stage.batch_size} does not divide into accumulate={stage.accumulate} "
            f"parts over {rows_said(mesh)}; make it a multiple of {parts}, or set "
            f"accumulate to a divisor of {stage.batch_size // batch_rows(mesh)}"
        )
    if stage.sampler is not None and stage.sampler not in SAMPLERS:
        raise UserError(
            f"sampler is {stage.sampler!r}, wanted one of {', '.join(SAMPLERS)}."
            f"{closest(stage.sampler, SAMPLERS)}"
        )
    several = isinstance(stage.keep, tuple)
    for at, keep in enumerate(keeps.given(stage.keep)):
        check_keep(config, keep, f"keep[{at}]" if several else "keep")
    kept = keeps.of(config, stage.keep)
    read = [visual_tokens_per_frame(config, keep) for keep in kept]
    shape = BatchShape(
        batch_size=stage.batch_size,
        frames=stage.frames,
        image_size=config.encoder.side,
        visual_tokens_per_frame=max(read),
        length=stage.length,
        answers=stage.answers,
        questions=stage.questions,
        narrows_by=max(read) - min(read),
        closing=int(config.adapter.newline),
    )
    return StagePlan(index, stage, chosen, shape, kept, lora.count(grown))


def describe(plan: StagePlan, stages: int, params: Mapping[str, Any]) -> str:
    """A stage in plain words, over three lines."""
    stage = plan.stage
    counts = subtree.count(lora.grown(params, stage.lora), plan.trainable)
    trains = [
        f"the {part} ({whole:,} parameters)"
        if some == whole
        else f"part of the {part} ({some:,} of {whole:,} parameters)"
        for part, (some, whole) in counts.items()
        if some
    ]
    sources = [
        f"{source.manifest}"
        + (f" x{source.weight:g}" if len(stage.sources) > 1 else "")
        + (f", {source.fraction:.0%} of it" if source.fraction < 1 else "")
        + (f", {source.kind} samples" if source.kind else "")
        for source in stage.sources
    ]
    most = plan.shape.visual_tokens_per_frame
    kept = " or ".join(map(str, plan.keeps))
    read = f"{most - plan.shape.narrows_by} to {most}" if plan.shape.narrows_by else f"{most}"
    low = f", by LoRA of rank {stage.lora.rank}" if stage.lora.rank else ""
    parts = f", in {stage.accumulate} parts one by one" if stage.accumulate > 1 else ""
    return (
        f"stage {plan.index + 1} of {stages}, {stage.name}: trains {' and '.join(trains)}{low}\n"
        f"  on {'; '.join(sources)}\n"
        f"  {stage.steps} steps of {stage.batch_size} rows{parts}: "
        f"up to {stage.questions} questions, "
        f"{stage.frames} frames, {kept} tokens kept and {read} read a frame, "
        f"learning rate {stage.optimizer.learning_rate:g}"
        + "".join(f", x{by:g} for the {part}" for part, by in stage.optimizer.scale.items())
    )
