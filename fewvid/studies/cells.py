"""Trains the cells of a study and lets them sit their exams, as many at once as share a program.

cells --group--> same programs, same frames --stack seeds--> trial.train --> exam.ask_all
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fewvid.data.shapes.variant import Variant
from fewvid.models import lvlm
from fewvid.models.config import LvlmConfig
from fewvid.studies.bank import Bank
from fewvid.studies.base import Base
from fewvid.studies.config import CellConfig, ExamConfig, ScaleConfig, StudyConfig
from fewvid.studies.exam import ask_all
from fewvid.studies.library import Library, Shelf
from fewvid.studies.results import Scores, tally
from fewvid.studies.strategies import STRATEGIES
from fewvid.studies.trial import Data, Program, Runs, train
from fewvid.training.stage import OptimizerConfig

Say = Callable[[str], None]
DEFAULT = Variant()
NEW = 7  # seed of parameters that begin anew
QUIET_S = 10  # seconds between two lines about one group


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
    programs = []
    for phase in phases:
        share = max(1, round(phase.share * steps))
        programs.append(
            Program(
                model=model_of(cell, base.config),
                keep=cell.train_keep or (cell.keep,),
                sampler=cell.sampler,
                clips=scale.batch_clips if phase.clips else 0,
                pictures=scale.batch_pictures,
                questions=scale.questions,
                steps=share,
                trainable=phase.trainable,
                optimizer=OptimizerConfig(
                    learning_rate=scale.rate,
                    warmup=min(scale.warmup, share // 5),
                    weight_decay=scale.weight_decay,
                    scale={"decoder": scale.decoder_rate} if phase.moves("decoder") else {},
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


def shelves(study: StudyConfig, cell: CellConfig) -> Iterator[tuple[Shelf, int]]:
    """What a cell needs drawn: its clips, the pictures beside them, and its exams."""
    scale = study.scale
    if not cell.of and STRATEGIES[cell.strategy]:
        yield clips_of(cell), pool(cell, scale)
        yield PICTURES, scale.pictures
    for name in cell.exams:
        yield exam_of(cell, study.exam(name)), scale.test


PICTURES = Shelf("train", "image", DEFAULT, 1)


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
    """Cells that train together, at most `scale.together` runs each, without those `of` others."""
    alike: dict[str, list[CellConfig]] = {}
    for cell in todo:
        if not cell.of:
            alike.setdefault(repr(plan(cell, study.scale, base)), []).append(cell)
    size = max(1, study.scale.together // study.seeds)
    return [cells[i : i + size] for cells in alike.values() for i in range(0, len(cells), size)]


def run_group(
    study: StudyConfig,
    base: Base,
    library: Library,
    bank: Bank,
    group: Sequence[CellConfig],
    followers: Sequence[CellConfig],
    say: Say,
) -> dict[str, Scores]:
    """Trains cells that share a plan; the scores of each, and of the followers `of` them."""
    how = plan(group[0], study.scale, base)
    params = _start(how, group[0], base, study.seeds * len(group))
    if how.programs:
        params = _train(study, how, library, bank, group, params, say)
    scores = {}
    for place, cell in enumerate(group):
        own = slice(place * study.seeds, (place + 1) * study.seeds)
        of_cell = jax.tree.map(lambda leaf, own=own: leaf[own], params)
        for other in [cell, *(one for one in followers if one.of == cell.name)]:
            scores[other.name] = _sit(study, how, base, library, bank, other, of_cell)
    return scores


def _start(how: Plan, cell: CellConfig, base: Base, runs: int) -> Any:
    """The base's parameters R times; what it has not, or is to begin anew, is random in each."""
    if not how.fresh:
        return jax.tree.map(lambda leaf: jnp.stack([leaf] * runs), base.params)
    keys = jax.random.split(jax.random.key(NEW), runs)
    made = jax.vmap(lambda key: lvlm.init(model_of(cell, base.config), key))(keys)
    known = {part: base.params[part] for part in ("encoder", "decoder")}
    return {**made, **jax.tree.map(lambda leaf: jnp.stack([leaf] * runs), known)}


def _train(
    study: StudyConfig,
    how: Plan,
    library: Library,
    bank: Bank,
    group: Sequence[CellConfig],
    params: Any,
    say: Say,
) -> Any:
    of_cells = [clips_of(cell) for cell in group]
    distinct = tuple(dict.fromkeys(of_cells))
    sizes = [library.counts[shelf] for shelf in distinct]
    starts = dict(zip(distinct, np.cumsum([0, *sizes[:-1]]).tolist(), strict=True))
    runs = [
        _run(study, cell, seed, starts[shelf], library)
        for cell, shelf in zip(group, of_cells, strict=True)
        for seed in range(study.seeds)
    ]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *runs)
    data = Data(
        library.corpus(distinct, encoded=how.encoded),
        library.corpus((PICTURES,), encoded=how.encoded),
        bank,
    )
    names = ", ".join(cell.name for cell in group)
    for number, program in enumerate(how.programs, 1):
        phase = f", phase {number} of {len(how.programs)}" if len(how.programs) > 1 else ""
        started = time.monotonic()

        def told(step: int, seen: dict[str, float], program: Program = program) -> None:
            nonlocal started
            last = step == program.steps
            if last or time.monotonic() - started > QUIET_S:
                started = time.monotonic()
                say(
                    f"{names}{phase}: step {step} of {program.steps}, "  # noqa: B023
                    f"loss {seen['loss']:.3f}, accuracy {seen['accuracy']:.3f}"
                )

        params = train(program, params, stacked, data, told)
    return params


def _run(study: StudyConfig, cell: CellConfig, seed: int, start: int, library: Library) -> Runs:
    """What a run differs in: which clips, which questions, and all that is random.

    The same seed of two cells draws alike, so that their difference is not that of two draws; a
    smaller share of the clips lies inside the larger one of the same seed.
    """
    pictures = all(phase.pictures for phase in STRATEGIES[cell.strategy])
    length = pool(cell, study.scale)
    return Runs(
        key=jax.random.key(seed),
        start=jnp.int32(start),
        length=jnp.int32(length),
        first=jnp.int32(seed * length // study.seeds),
        count=jnp.int32(max(cell.clips, 1)),
        picture_weight=jnp.float32(pictures),
        question_weight=jnp.asarray(_weights(study.scale, cell, library)),
    )


def _weights(scale: ScaleConfig, cell: CellConfig, library: Library) -> np.ndarray:
    """How likely each question of the bank is to be asked of a clip in training, float32[n]."""
    by_kind = {
        "mixed": {"temporal": scale.temporal_weight, "static": 1.0},
        "temporal": {"temporal": 1.0, "static": 0.0},
        "static": {"temporal": 0.0, "static": 1.0},
    }[cell.kind]
    return np.array(
        [
            0.0 if question.dimension in cell.without else by_kind[question.kind]
            for question in library.register.questions
        ],
        np.float32,
    )


def _sit(
    study: StudyConfig,
    how: Plan,
    base: Base,
    library: Library,
    bank: Bank,
    cell: CellConfig,
    params: Any,
) -> Scores:
    """The scores of one cell in all of its exams."""
    program = dataclasses.replace(
        plan(dataclasses.replace(cell, strategy="s3_iv"), study.scale, base).programs[0],
        keep=(cell.keep,),
    )
    scores: Scores = {}
    for name in cell.exams:
        exam = study.exam(name)
        asked = library.corpus((exam_of(cell, exam),), encoded=how.encoded)
        right = ask_all(program, params, asked, bank, one_frame=exam.one_frame)
        scores[name] = tally(right, np.asarray(asked.asked), library.register.questions)
    return scores
