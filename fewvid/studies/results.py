"""What a study measured, and what may be said of it: means, intervals, differences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from fewvid.data.shapes.questions import Question
from fewvid.errors import UserError

# exam -> dimension -> {"kind", "chance", "total", "right": one number a seed}
Scores = dict[str, dict[str, dict[str, Any]]]

UPPER = 0.975  # of a distribution, of which 95 % lie inside
NORMAL = 1.96


class Estimate(NamedTuple):
    """A share, a difference or a ratio of shares, and half of its 95 % interval; NaN: unknown."""

    mean: float
    half: float

    @property
    def low(self) -> float:
        """Where the interval begins."""
        return self.mean - self.half

    @property
    def high(self) -> float:
        """Where the interval ends."""
        return self.mean + self.half

    def __str__(self) -> str:
        if math.isnan(self.mean):
            return "–"
        return f"{100 * self.mean:.1f} ± {100 * self.half:.1f}"


UNKNOWN = Estimate(math.nan, math.nan)


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

    def kinds(self, exam: str) -> list[str]:
        """Of "temporal" and "static", those that an exam asked about."""
        return [kind for kind in ("temporal", "static") if self.dimensions(exam, kind)]

    def estimate(self, cell: str, exam: str, of: str | Iterable[str]) -> Estimate:
        """Mean over dimensions, each counting the same; unknown where there are none.

        of: "temporal", "static", "" for all questions, or names of dimensions. The interval holds
        both what another seed (Student's t over the seeds) and what another draw of questions
        (binomial) would change. With one seed only the latter is known.
        """
        chosen = self._chosen(cell, exam, of)
        by_seed = _by_seed(chosen)
        return Estimate(
            float(by_seed.mean()), math.hypot(_student(by_seed), NORMAL * _deviation(chosen))
        )

    def difference(self, cell: str, other: str, exam: str, of: str | Iterable[str]) -> Estimate:
        """`cell` less `other`, seed by seed.

        The interval holds another seed and another draw of questions, as if each had been asked
        others: they were asked the same, so that it is rather too wide than too narrow.
        """
        first, second = (self._chosen(name, exam, of) for name in (cell, other))
        alone = math.hypot(_deviation(first), _deviation(second))
        return _paired(_by_seed(first) - _by_seed(second), alone)

    def against(
        self, control: str, cells: Iterable[str], exam: str, of: str | Iterable[str]
    ) -> dict[str, Estimate]:
        """Each of several cells less one and the same: 95 % of the time all intervals hold at once.

        Else the luckiest of ten would often look better than it is.
        """
        chosen = {name: self._chosen(name, exam, of) for name in (control, *cells)}
        by_seed = {name: _by_seed(one) for name, one in chosen.items()}
        others = [name for name in chosen if name != control]
        halves = _dunnett(np.array([by_seed[name] for name in others]), by_seed[control])
        found = {}
        for name, half in zip(others, halves, strict=True):
            alone = math.hypot(_deviation(chosen[name]), _deviation(chosen[control]))
            mean = float((by_seed[name] - by_seed[control]).mean())
            found[name] = Estimate(mean, math.hypot(half, NORMAL * alone))
        return found

    def ratio(self, cell: str, other: str, exam: str, of: str | Iterable[str]) -> Estimate:
        """`cell` over `other`, seed by seed; unknown where `other` got nothing right."""
        first, second = (self._chosen(name, exam, of) for name in (cell, other))
        over, under = _by_seed(first), _by_seed(second)
        if not (under > 0).all():
            return UNKNOWN
        ratios = over / under
        alone = math.hypot(_deviation(first), ratios.mean() * _deviation(second)) / under.mean()
        return _paired(ratios, alone)

    def chance(self, exam: str, of: str | Iterable[str]) -> float:
        """What guessing gives, as a mean over the dimensions."""
        sat = next(name for name, cell in self.cells.items() if exam in cell["scores"])
        chosen = self._chosen(sat, exam, of)
        return sum(one["chance"] for one in chosen) / len(chosen) if chosen else math.nan

    def _chosen(self, cell: str, exam: str, of: str | Iterable[str]) -> list[dict[str, Any]]:
        scores = self.cells[cell]["scores"].get(exam)
        if scores is None:
            raise UserError(f"cell {cell!r} sat no exam {exam!r}")
        names = self.dimensions(exam, of) if isinstance(of, str) else of
        return [scores[name] for name in names]


def _by_seed(chosen: Sequence[dict[str, Any]]) -> np.ndarray:
    """Mean over the dimensions for each seed, float[S]; one NaN for no dimension."""
    if not chosen:
        return np.array([math.nan])
    return np.mean([np.array(one["right"]) / one["total"] for one in chosen], axis=0)


def _deviation(chosen: Sequence[dict[str, Any]]) -> float:
    """Standard deviation of the mean over the dimensions, from the draw of questions."""
    if not chosen:
        return math.nan
    shares = [(float(np.mean(one["right"])) / one["total"], one["total"]) for one in chosen]
    return math.sqrt(sum(share * (1 - share) / total for share, total in shares)) / len(chosen)


def _paired(values: np.ndarray, alone: float) -> Estimate:
    """The mean over seeds; `alone` is its standard deviation from the draw of questions."""
    return Estimate(float(values.mean()), math.hypot(_student(values), NORMAL * alone))


def _student(values: np.ndarray) -> float:
    """Half of the 95 % interval of the mean of few values; 0 for one."""
    if len(values) < 2:
        return 0.0
    quantile = stats.t.ppf(UPPER, len(values) - 1)
    return float(quantile * values.std(ddof=1) / math.sqrt(len(values)))


def _dunnett(values: np.ndarray, control: np.ndarray) -> np.ndarray:
    """Half of the simultaneous intervals of values float[C,S] less control float[S], float[C].

    Dunnett (1955) in blocks: what a seed does to all cells alike is taken out first, with as many
    degrees of freedom. 0 for one seed, or where the cells differ by the same in all seeds.
    """
    whole = np.vstack([control, values])
    cells, seeds = whole.shape
    within = whole - whole.mean(axis=0)
    if seeds < 2 or np.allclose(within.std(axis=1), 0):
        return np.zeros(len(values))
    found = stats.dunnett(*within[1:], control=within[0], rng=np.random.default_rng(0))
    interval = found.confidence_interval(0.95)
    apart, blocks = cells * (seeds - 1), (cells - 1) * (seeds - 1)
    return (interval.high - interval.low) / 2 * math.sqrt(apart / blocks)
