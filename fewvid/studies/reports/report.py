"""What the page of a study says: its question, what was found, its figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fewvid.studies.results import Results

# A column of the table of cells: its heading, an exam, "temporal", "static" or "" for all.
Columns = Sequence[tuple[str, str, str]]


class Picture(NamedTuple):
    """A figure: its file in the study's folder, what it shows, and what draws it there.

    there: whether the study has what it shows; a tiny one may lack it.
    """

    file: str
    caption: str
    draw: Callable[[Results, Path], None]
    there: Callable[[Results], bool] = lambda _: True


@dataclass(frozen=True)
class Report:
    """A study's page. findings: sentences with numbers, the verdict on each claim first.

    asks: the question of the paper, or the check asked of it. how: what was trained and compared,
    in two or three sentences. dimensions: whether the page has a table by dimension.
    """

    title: str
    asks: str
    how: str
    findings: Callable[[Results], Sequence[str]]
    pictures: Sequence[Picture]
    columns: Columns = (
        ("temporal", "clips", "temporal"),
        ("static", "clips", "static"),
        ("pictures", "pictures", "static"),
    )
    dimensions: bool = False
