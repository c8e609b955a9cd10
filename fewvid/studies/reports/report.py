"""What the page of a study says: its question, what was found, its figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fewvid.studies.results import Estimate, Results


class Picture(NamedTuple):
    """A figure: its file in the study's folder, what it shows, and what draws it there."""

    file: str
    caption: str
    draw: Callable[[Results, Path], None]


@dataclass(frozen=True)
class Report:
    """A study's page. findings: sentences with numbers, the verdict on each claim first.

    asks: the question of the paper, or the check asked of it. how: what was trained and compared,
    in two or three sentences. columns: of the table of cells, (heading, exam, dimensions).
    """

    title: str
    asks: str
    how: str
    findings: Callable[[Results], Sequence[str]]
    pictures: Sequence[Picture]
    columns: Sequence[tuple[str, str, str]] = (
        ("temporal", "clips", "temporal"),
        ("static", "clips", "static"),
        ("pictures", "pictures", "static"),
    )


def verdict(claim: str, gained: Estimate, least: float = 0.0) -> str:
    """Whether a difference is at least `least`, as far as its interval tells, in words."""
    low, high = gained.mean - gained.half, gained.mean + gained.half
    word = "Holds" if low >= least else "Does not hold" if high < least else "Open"
    return f"**{word}**: {claim} ({points(gained)}; wanted at least {100 * least:+.1f})."


def points(gained: Estimate) -> str:
    """A difference in points of per cent, with its interval."""
    return f"{100 * gained.mean:+.1f} ± {100 * gained.half:.1f} points"


def ratio_verdict(claim: str, found: float, least: float, unit: str = "") -> str:
    """Whether a measured ratio reaches what was aimed at, in words."""
    word = "Holds" if found >= least else "Does not hold"
    return f"**{word}**: {claim} ({found:.2f}{unit}; wanted at least {least:g}{unit})."
