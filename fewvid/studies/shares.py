"""A study's work dealt out to several processes, each with an accelerator of its own.

Every process deals alike, from the config alone, so none has to ask another. What all have trained
is found in the store that they share (`--cells`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fewvid.models.config import visual_tokens
from fewvid.studies.base import Base
from fewvid.studies.config import CellConfig, StudyConfig
from fewvid.studies.plans import groups, plan
from fewvid.studies.store import Store

QUESTION = 16  # ids of a question with its answer, about
# What compiling a program takes, as tokens that a step could read in that time: measured on an
# H100, where 5 million tokens are a second, and eight programs are compiled at once.
COMPILING = 4e7


class Share(NamedTuple):
    """The `number`-th, from 1, of `of` shares."""

    number: int
    of: int

    @property
    def all_of_it(self) -> bool:
        """Whether nobody else works on it."""
        return self.of == 1


WHOLE = Share(1, 1)


def cells_of(study: StudyConfig, base: Base, store: Store, share: Share) -> set[str]:
    """The names of the cells of a share: with a trained cell go those that take its parameters.

    Cells that train together stay together, and equal experiments are dealt once.
    """
    first: dict[str, str] = {}  # of equal experiments, by what they are
    of_trained: dict[str, list[str]] = {}
    for cell in study.cells:
        trained = study.cell(cell.of) if cell.of else cell
        name = first.setdefault(store.key(study, trained), trained.name)
        of_trained.setdefault(name, []).append(cell.name)
    together = groups(study, base, [study.cell(name) for name in of_trained])
    exams = [sum(len(of_trained[cell.name]) for cell in group) for group in together]
    costs = [
        cost(study, base, group) + COMPILING * count
        for group, count in zip(together, exams, strict=True)
    ]
    dealt = deal(costs, share.of)
    return {
        name
        for group, number in zip(together, dealt, strict=True)
        if number == share.number
        for cell in group
        for name in of_trained[cell.name]
    }


def cost(study: StudyConfig, base: Base, group: Sequence[CellConfig]) -> float:
    """How many tokens the decoder reads while cells of equal plans train, and their compiling."""
    total = 0.0
    for program in plan(group[0], study.scale, base).programs:
        text, frames = QUESTION * program.questions, group[0].frames
        kept = float(np.mean([visual_tokens(program.model, 1, keep) for keep in program.keep]))
        row = program.clips * (frames * kept + text) + program.pictures * (kept + text)
        total += COMPILING + row * program.steps * study.seeds * len(group)
    return total


def deal(costs: Sequence[float], count: int) -> list[int]:
    """Which of `count` shares, from 1, each piece goes to: the dearest first, to who has least."""
    loads, dealt = [0.0] * count, [0] * len(costs)
    for piece in sorted(range(len(costs)), key=lambda i: -costs[i]):
        least = loads.index(min(loads))
        loads[least] += costs[piece]
        dealt[piece] = least + 1
    return dealt
