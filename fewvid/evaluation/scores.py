"""Scores by dimension: answers counted right exactly, and right among the valid ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fewvid.evaluation.intervals import wilson


@dataclass(frozen=True)
class Answered:
    """One question put to a model.

    valid: the valid answer that it finds likeliest is the right one. exact: its greedy answer is
    the right one word for word. chance: one over the number of valid answers.
    """

    kind: str
    dimension: str
    valid: bool
    exact: bool
    chance: float


@dataclass(frozen=True)
class Score:
    """One dimension: how many questions, how many right, and what guessing would give."""

    kind: str
    dimension: str
    total: int
    valid: int
    exact: int
    chance: float

    @property
    def accuracy(self) -> float:
        """Share right among the valid answers, 0..1."""
        return self.valid / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of `accuracy`."""
        return wilson(self.valid, self.total)


def by_dimension(answered: Iterable[Answered]) -> dict[str, Score]:
    """Scores by dimension, in order of first appearance."""
    found: dict[str, list[Answered]] = {}
    for one in answered:
        found.setdefault(one.dimension, []).append(one)
    return {
        name: Score(
            kind=ones[0].kind,
            dimension=name,
            total=len(ones),
            valid=sum(o.valid for o in ones),
            exact=sum(o.exact for o in ones),
            chance=sum(o.chance for o in ones) / len(ones),
        )
        for name, ones in found.items()
    }


def mean(scores: Iterable[Score], kind: str, exact: bool = False) -> float | None:
    """Mean over the dimensions of one kind, each counting the same; None where there is none."""
    chosen = [s for s in scores if s.kind == kind]
    if not chosen:
        return None
    shares = [(s.exact if exact else s.valid) / s.total for s in chosen]
    return sum(shares) / len(shares)


def chance(scores: Iterable[Score], kind: str) -> float | None:
    """What guessing among the valid answers would give, as a mean over dimensions."""
    levels = [s.chance for s in scores if s.kind == kind]
    return sum(levels) / len(levels) if levels else None
