"""What is learnt late, by some seeds and not by others: what is found without it is said apart."""

from __future__ import annotations

from fewvid.studies.results import Results

LATE = (
    "order",
)  # of two changes, which came first: learnt suddenly, at a step that differs by seed
WITHOUT = f"without {' and '.join(LATE)}"
AT_CHANCE = 0.05  # so near to chance a mean counts as not learnt


def soon(results: Results, exam: str, kind: str) -> list[str]:
    """The dimensions of a kind but for those; empty where the exam asked for none of those."""
    all_of_it = results.dimensions(exam, kind)
    return [name for name in all_of_it if name not in LATE] if {*LATE} & {*all_of_it} else []


def unlearnt(results: Results, cells: list[str], exam: str) -> list[str]:
    """Of LATE, what none of the cells has learnt."""
    asked = [name for name in LATE if name in results.dimensions(exam)]
    return [
        name
        for name in asked
        if all(
            results.estimate(cell, exam, [name]).mean < results.chance(exam, [name]) + AT_CHANCE
            for cell in cells
        )
    ]
