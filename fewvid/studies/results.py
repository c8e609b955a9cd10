"""What a study measured, and what may be said of it: means, intervals, differences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fewvid.data.shapes.questions import Question
from fewvid.errors import UserError

# exam -> dimension -> {"kind", "chance", "total", "right": one number a seed}
Scores = dict[str, dict[str, dict[str, Any]]]

# 97.5 % quantiles of Student's t by degrees of freedom; from 9 on the last.
STUDENT = (math.nan, 12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)


class Estimate(NamedTuple):
    """A share (or a difference of shares) in 0..1 and half of its 95 % interval."""

    mean: float
    half: float

    def __str__(self) -> str:
        return f"{100 * self.mean:.1f} ± {100 * self.half:.1f}"


def tally(right: np.ndarray, asked: np.ndarray, questions: Sequence[Question]) -> dict[str, Any]:
    """Counts by dimension. right bool[R,n,Q]; asked int[n,Q], numbers of `questions` or -1."""
    names = np.array([question.dimension for question in questions])
    of = np.where(asked >= 0, names[np.maximum(asked, 0)], "")
    found = {}
    for question in questions:
        name = question.dimension
        here = of == name
        if name not in found and here.any():
            found[name] = {
                "kind": question.kind,
                "chance": 1 / len(question.answers),
                "total": int(here.sum()),
                "right": [int(count) for count in right[:, here].sum(axis=1)],
            }
    return found


@dataclass(frozen=True)
class Results:
    """The parsed results.json of a study."""

    values: dict[str, Any]

    @property
    def cells(self) -> dict[str, dict[str, Any]]:
        """By name: `config`, `scores`, `seconds`."""
        return self.values["cells"]

    def config(self, cell: str) -> dict[str, Any]:
        """What a cell was."""
        return self.cells[cell]["config"]

    def dimensions(self, exam: str, kind: str = "") -> list[str]:
        """The dimensions that an exam asked about, of one kind or all."""
        scores = next(c["scores"][exam] for c in self.cells.values() if exam in c["scores"])
        return [name for name, one in scores.items() if kind in ("", one["kind"])]

    def estimate(self, cell: str, exam: str, of: str | Iterable[str]) -> Estimate:
        """Mean over dimensions (`of`: "temporal", "static" or names), each counting the same.

        The interval holds both what another seed (Student's t over the seeds) and what another
        draw of questions (binomial) would change. With one seed only the latter is known.
        """
        chosen = self._chosen(cell, exam, of)
        by_seed = _by_seed(chosen)
        asked = sum(_variance(one) for one in chosen) / len(chosen) ** 2
        return Estimate(float(by_seed.mean()), math.hypot(_student(by_seed), 1.96 * asked**0.5))

    def difference(self, cell: str, other: str, exam: str, of: str | Iterable[str]) -> Estimate:
        """`cell` less `other`, seed by seed: both answered the same questions."""
        first, second = (_by_seed(self._chosen(name, exam, of)) for name in (cell, other))
        gained = first - second
        return Estimate(float(gained.mean()), _student(gained))

    def chance(self, exam: str, of: str | Iterable[str]) -> float:
        """What guessing gives, as a mean over the dimensions."""
        chosen = self._chosen(next(iter(self.cells)), exam, of)
        return sum(one["chance"] for one in chosen) / len(chosen)

    def _chosen(self, cell: str, exam: str, of: str | Iterable[str]) -> list[dict[str, Any]]:
        scores = self.cells[cell]["scores"].get(exam)
        if scores is None:
            raise UserError(f"cell {cell!r} sat no exam {exam!r}")
        names = self.dimensions(exam, of) if isinstance(of, str) else of
        return [scores[name] for name in names]


def _by_seed(chosen: Sequence[dict[str, Any]]) -> np.ndarray:
    """Mean over the dimensions for each seed, float[S]."""
    return np.mean([np.array(one["right"]) / one["total"] for one in chosen], axis=0)


def _variance(one: dict[str, Any]) -> float:
    share = float(np.mean(one["right"])) / one["total"]
    return share * (1 - share) / one["total"]


def _student(values: np.ndarray) -> float:
    """Half of the 95 % interval of the mean of few values; 0 for one."""
    if len(values) < 2:
        return 0.0
    quantile = STUDENT[min(len(values) - 1, len(STUDENT) - 1)]
    return float(quantile * values.std(ddof=1) / math.sqrt(len(values)))
