"""How the cells of a study are trained: their programs, and which clips and pictures they need."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fewvid.data.shapes.variant import Variant
from fewvid.models.config import LvlmConfig
from fewvid.studies.base import Base
from fewvid.studies.config import CellConfig, ExamConfig, ScaleConfig, StudyConfig
from fewvid.studies.library import Shelf
from fewvid.studies.strategies import STRATEGIES
from fewvid.studies.trial import Program
from fewvid.training.stage import OptimizerConfig

PICTURES = Shelf("train", "image", Variant(), 1)


@dataclass(frozen=True)
class Plan:
    """How a cell is trained: a program for each phase. Cells with equal plans train together."""

    programs: tuple[Program, ...]
    frames: int
    encoded: bool  # whether the encoder stays as it is, so that frames are encoded beforehand
    fresh: bool  # whether the adapter begins anew


def model_of(cell: CellConfig, base: LvlmConfig) -> LvlmConfig:
    """The sizes of a cell's model."""
    return dataclasses.replace(
        base,
        adapter=dataclasses.replace(base.adapter, **cell.adapter),
        sampler=dataclasses.replace(base.sampler, name=cell.sampler, **cell.sampling),
    )


def plan(cell: CellConfig, scale: ScaleConfig, base: Base) -> Plan:
    """The programs of a cell's phases."""
    phases = STRATEGIES[cell.strategy]
    steps = cell.steps or scale.steps
    rates = {"encoder": scale.encoder_rate, "decoder": scale.decoder_rate}
    programs = []
    for phase in phases:
        share = max(1, round(phase.share * steps))
        programs.append(
            Program(
                model=model_of(cell, base.config),
                keep=cell.train_keep or (cell.keep,),
                sampler=cell.sampler,
                clips=scale.batch_clips if phase.clips else 0,
                pictures=scale.batch_pictures + (0 if phase.clips else scale.batch_clips),
                questions=scale.questions,
                steps=share,
                trainable=phase.trainable,
                optimizer=OptimizerConfig(
                    learning_rate=scale.rate,
                    warmup=min(scale.warmup, share // 5),
                    weight_decay=scale.weight_decay,
                    scale={part: rate for part, rate in rates.items() if phase.moves(part)},
                ),
                bos=base.chat.bos,
                visual=base.chat.visual,
                dtype=scale.dtype,
                quick=scale.quick,
            )
        )
    encoded = not any(phase.moves("encoder") for phase in phases)
    fresh = any(phase.new_adapter for phase in phases)
    return Plan(tuple(programs), cell.frames, encoded, fresh)


def asking(cell: CellConfig, scale: ScaleConfig, base: Base) -> Program:
    """The program of a cell's exams. Where all tokens are kept the sampler makes no difference."""
    model, keep = model_of(cell, base.config), cell.keep
    sampler = base.config.sampler.name if keep == model.encoder.tokens else cell.sampler
    return Program(
        model=dataclasses.replace(model, sampler=dataclasses.replace(model.sampler, name=sampler)),
        keep=(keep,),
        sampler=sampler,
        bos=base.chat.bos,
        visual=base.chat.visual,
        dtype=scale.dtype,
        quick=scale.quick,
    )


def of_training(cell: CellConfig, scale: ScaleConfig) -> Iterator[tuple[Shelf, int]]:
    """What a cell's training needs drawn: its clips, and the pictures beside them."""
    phases = STRATEGIES[cell.strategy]
    if any(phase.clips for phase in phases):
        yield clips_of(cell), pool(cell, scale)
    if phases:
        yield PICTURES, scale.pictures


def of_exams(study: StudyConfig, cell: CellConfig) -> Iterator[tuple[Shelf, int]]:
    """What a cell's exams need drawn."""
    for name in cell.exams:
        yield exam_of(cell, study.exam(name)), study.scale.test


def pool(cell: CellConfig, scale: ScaleConfig) -> int:
    """How many clips there are, of which a cell takes its share."""
    return max(cell.clips, scale.clips)


def clips_of(cell: CellConfig) -> Shelf:
    """The clips that a cell is trained on."""
    return Shelf("train", "video", Variant(**cell.variant), cell.frames)


def exam_of(cell: CellConfig, exam: ExamConfig) -> Shelf:
    """The clips or pictures of an exam, with as many frames as the cell looks at."""
    frames = (exam.frames or cell.frames) if exam.medium == "video" else 1
    return Shelf("test", exam.medium, Variant(**exam.variant), frames)


def groups(study: StudyConfig, base: Base, todo: Sequence[CellConfig]) -> list[list[CellConfig]]:
    """Cells that train together: of equal plans, at most `scale.together` runs each."""
    alike: dict[Plan, list[CellConfig]] = {}
    for cell in todo:
        alike.setdefault(plan(cell, study.scale, base), []).append(cell)
    size = max(1, study.scale.together // study.seeds)
    return [cells[i : i + size] for cells in alike.values() for i in range(0, len(cells), size)]
