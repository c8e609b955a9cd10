"""Trains the cells of a study, as many at once as share a plan, and lets them sit their exams.

cells --groups--> equal plans --stack seeds--> trial.train --> parameters --> exam.ask_all
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fewvid.models import lvlm
from fewvid.studies import trial
from fewvid.studies.bank import Bank
from fewvid.studies.base import Base
from fewvid.studies.compiling import Job
from fewvid.studies.config import CellConfig, ScaleConfig, StudyConfig
from fewvid.studies.exam import ask_all, prepare
from fewvid.studies.library import Library, Shelf
from fewvid.studies.plans import PICTURES, Plan, asking, clips_of, exam_of, model_of, plan, pool
from fewvid.studies.results import Scores, tally
from fewvid.studies.strategies import STRATEGIES
from fewvid.studies.trial import Data, Runs

Say = Callable[[str], None]
NEW = 7  # seed of parameters that begin anew
QUIET_S = 10  # seconds between two lines about one group


def train_group(
    study: StudyConfig,
    base: Base,
    library: Library,
    bank: Bank,
    group: Sequence[CellConfig],
    say: Say,
) -> list[Any]:
    """The parameters of each of some cells of equal plans, with a leading axis of seeds."""
    how = plan(group[0], study.scale, base)
    params = _start(how, group[0], base, study.seeds * len(group))
    params = _train(study, how, library, bank, group, params, say)
    each = [slice(i * study.seeds, (i + 1) * study.seeds) for i in range(len(group))]
    return [jax.tree.map(lambda leaf, own=own: leaf[own], params) for own in each]


def untrained(study: StudyConfig, base: Base) -> Any:
    """The image model's parameters, as often as there are seeds."""
    return jax.tree.map(lambda leaf: jnp.stack([leaf] * study.seeds), base.params)


def sit(
    study: StudyConfig, base: Base, library: Library, bank: Bank, cell: CellConfig, params: Any
) -> Scores:
    """The scores of a cell in all of its exams. params: of the cell that it is `of`, or its own."""
    trained = study.cell(cell.of) if cell.of else cell
    encoded = plan(trained, study.scale, base).encoded
    program = asking(cell, study.scale, base)
    scores: Scores = {}
    for name in cell.exams:
        exam = study.exam(name)
        asked = library.corpus((exam_of(cell, exam),), encoded=encoded)
        right = ask_all(program, params, asked, bank, one_frame=exam.one_frame)
        scores[name] = tally(right, np.asarray(asked.asked), library.register.questions)
    return scores


def preparing(
    study: StudyConfig, base: Base, library: Library, bank: Bank, group: Sequence[CellConfig]
) -> list[Job]:
    """What compiles the programs that `train_group` will run for some cells of equal plans."""
    how = plan(group[0], study.scale, base)
    params = jax.eval_shape(lambda: _start(how, group[0], base, study.seeds * len(group)))
    shelves, runs = _inputs(study, library, how, group)
    data = Data(
        library.shapes(shelves, encoded=how.encoded) if shelves else None,
        library.shapes((PICTURES,), encoded=how.encoded),
        bank,
    )
    return [partial(trial.prepare, program, params, runs, data) for program in how.programs]


def preparing_to_sit(
    study: StudyConfig, base: Base, library: Library, bank: Bank, cell: CellConfig
) -> list[Job]:
    """What compiles the programs that `sit` will run for a cell."""
    trained = study.cell(cell.of) if cell.of else cell
    how, program = plan(trained, study.scale, base), asking(cell, study.scale, base)
    params = jax.eval_shape(lambda: _start(how, trained, base, study.seeds))
    jobs: list[Job] = []
    for name in cell.exams:
        exam = study.exam(name)
        asked = library.shapes((exam_of(cell, exam),), encoded=how.encoded)
        jobs.append(partial(prepare, program, params, asked, bank, one_frame=exam.one_frame))
    return jobs


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
    clips, runs = _inputs(study, library, how, group)
    library.forget_training(but=(clips, (PICTURES,)), encoded=how.encoded)
    data = Data(
        library.corpus(clips, encoded=how.encoded) if clips else None,
        library.corpus((PICTURES,), encoded=how.encoded),
        bank,
    )
    names = ", ".join(cell.name for cell in group)
    for number, program in enumerate(how.programs, 1):
        phase = f", phase {number} of {len(how.programs)}" if len(how.programs) > 1 else ""
        params = trial.train(
            program, params, runs, data, _teller(say, names + phase, program.steps)
        )
    return params


def _inputs(
    study: StudyConfig, library: Library, how: Plan, group: Sequence[CellConfig]
) -> tuple[tuple[Shelf, ...], Runs]:
    """The clips that some cells are trained on, and what their runs differ in, stacked."""
    shelves: dict[Shelf, int] = {}  # those that are trained on, and where each begins
    if any(program.clips for program in how.programs):
        at = 0
        for shelf in dict.fromkeys(clips_of(cell) for cell in group):
            shelves[shelf] = at
            at += library.counts[shelf]
    runs = [
        _run(study, cell, seed, shelves.get(clips_of(cell), 0), library)
        for cell in group
        for seed in range(study.seeds)
    ]
    return tuple(shelves), jax.tree.map(lambda *leaves: jnp.stack(leaves), *runs)


def _teller(say: Say, what: str, steps: int) -> Callable[[int, dict[str, float]], None]:
    """Says how a training goes, not too often."""
    said = time.monotonic()

    def told(step: int, seen: dict[str, float]) -> None:
        nonlocal said
        if step == steps or time.monotonic() - said > QUIET_S:
            said = time.monotonic()
            loss, accuracy = seen["loss"], seen["accuracy"]
            say(f"{what}: step {step} of {steps}, loss {loss:.3f}, accuracy {accuracy:.3f}")

    return told


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
