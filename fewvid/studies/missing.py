"""Trains and examines the cells of a study that the store does not have yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax

from fewvid.studies.bank import Bank
from fewvid.studies.base import Base
from fewvid.studies.cells import preparing, preparing_to_sit, sit, train_group, untrained
from fewvid.studies.compiling import at_once, do_all
from fewvid.studies.config import CellConfig, StudyConfig
from fewvid.studies.library import Library
from fewvid.studies.plans import groups, of_exams, of_training
from fewvid.studies.shares import WHOLE, Share, cells_of, cost
from fewvid.studies.store import Store
from fewvid.studies.strategies import STRATEGIES

Say = Callable[[str], None]
Group = Sequence[CellConfig]


@dataclass(frozen=True)
class Work:
    """What is to be done. examined: the cells that take the parameters of each trained one."""

    study: StudyConfig
    base: Base
    store: Store
    library: Library
    bank: Bank
    examined: dict[str, list[CellConfig]]
    say: Say

    def compile(self, todo: Sequence[Group], *, trained: bool) -> None:
        """Makes the programs of some groups. trained: they need no training, only exams."""
        ours = (self.study, self.base, self.library, self.bank)
        jobs = [job for group in todo if not trained for job in preparing(*ours, group)]
        for cell in (cell for group in todo for own in group for cell in self.examined[own.name]):
            jobs += preparing_to_sit(*ours, cell)
        do_all(jobs)

    def train(self, group: Group) -> None:
        """Trains some cells of equal plans, stores their parameters, and examines them."""
        begun = time.monotonic()
        found = train_group(self.study, self.base, self.library, self.bank, group, self.say)
        jax.block_until_ready(found)
        seconds = (time.monotonic() - begun) / len(group)
        for cell, params in zip(group, found, strict=True):
            self.store.keep_params(self.study, cell, params, self.base.params, seconds)
        for cell, params in zip(group, found, strict=True):
            self.examine(cell.name, params)

    def examine(self, name: str, params: Any) -> None:
        """Stores the scores of a trained cell, and of those that only take its parameters."""
        for cell in self.examined[name]:
            if self.store.find(self.study, cell) is not None:
                continue  # the same as one before it, under another name
            begun = time.monotonic()
            scores = sit(self.study, self.base, self.library, self.bank, cell, params)
            self.store.keep(self.study, cell, scores, time.monotonic() - begun)
            self.say(f"{cell.name}: {_short(scores)}")


def finish(
    study: StudyConfig,
    base: Base,
    store: Store,
    say: Say,
    late: Callable[[], bool],
    share: Share = WHOLE,
) -> bool:
    """Whether all cells of a share are there now: none is begun once it is `late`.

    The longest are trained first, so that what is begun last takes little.
    """
    mine = study.cells
    if not share.all_of_it:
        names = cells_of(study, base, store, share)
        mine = tuple(cell for cell in study.cells if cell.name in names)
    missing = [cell for cell in mine if store.find(study, cell) is None]
    if not missing:
        return True
    say(f"{len(mine) - len(missing)} of {len(mine)} cells are finished")
    examined: dict[str, list[CellConfig]] = {}
    same: dict[str, str] = {}  # the first of the cells that are the same experiment
    for cell in missing:
        trained = study.cell(cell.of) if cell.of else cell
        first = same.setdefault(store.key(study, trained), trained.name)
        examined.setdefault(first, []).append(cell)
    known = {name: _known(study, base, store, study.cell(name)) for name in examined}
    to_train = [study.cell(name) for name, params in known.items() if params is None]
    library = Library(base, study.scale.dtype)
    for shelf, count in [
        *(need for cell in to_train for need in of_training(cell, study.scale)),
        *(need for cell in missing for need in of_exams(study, cell)),
    ]:
        library.need(shelf, count)
    work = Work(study, base, store, library, library.draw(say), examined, say)
    have = [[study.cell(name)] for name, params in known.items() if params is not None]
    train = sorted(groups(study, base, to_train), key=lambda group: -cost(study, base, group))
    for todo, have_params in ((have, True), (train, False)):
        for number, group in enumerate(todo):
            if late():
                left = sum(store.find(study, cell) is None for cell in mine)
                say(f"time is over, {left} cells are left; the same command goes on")
                return False
            if number % at_once() == 0:
                work.compile(todo[number : number + at_once()], trained=have_params)
            if have_params:
                work.examine(group[0].name, known[group[0].name])
            else:
                work.train(group)
    return True


def _known(study: StudyConfig, base: Base, store: Store, cell: CellConfig) -> Any | None:
    """The parameters of a cell that need no training: stored, or the image model's."""
    if not STRATEGIES[cell.strategy]:
        return untrained(study, base)
    return store.params(study, cell, base.params)


def _short(scores: dict[str, dict[str, Any]]) -> str:
    parts = []
    for exam, dimensions in scores.items():
        for kind in ("temporal", "static"):
            shares = [
                sum(d["right"]) / len(d["right"]) / d["total"]
                for d in dimensions.values()
                if d["kind"] == kind
            ]
            if shares:
                parts.append(f"{exam} {kind} {100 * sum(shares) / len(shares):.1f} %")
    return ", ".join(parts)
