"""Cells that were trained for longer or shorter than all others: is a difference one of time?"""

from __future__ import annotations

from fewvid.studies.reports import verdicts
from fewvid.studies.results import Results


def usual(results: Results) -> list[str]:
    """The cells that were trained as long as the study's size says."""
    return [name for name in results.cells if not results.config(name)["steps"]]


def again(results: Results, cell: str, steps: int) -> str | None:
    """The cell that differs from `cell` in its steps alone; None where there is none."""
    wanted = _what(results, cell) | {"steps": steps}
    found = (name for name in results.cells if _what(results, name) == wanted)
    return next(found, None)


def twice(results: Results, cell: str) -> str | None:
    """The cell that was trained for twice as long as the usual one `cell`."""
    return again(results, cell, 2 * results.values["config"]["scale"]["steps"])


def gained(results: Results, cells: list[str]) -> list[str]:
    """What twice the steps add to each of these cells that was also trained so, a line each."""
    lines = []
    for cell in cells:
        longer = twice(results, cell)
        if longer is None:
            continue
        parts = [
            f"{results.estimate(longer, 'clips', kind)} instead of "
            f"{results.estimate(cell, 'clips', kind)} % "
            f"({kind}, {verdicts.points(results.difference(longer, cell, 'clips', kind))})"
            for kind in results.kinds("clips")
        ]
        lines.append(f"With twice the steps, {cell} reaches {', '.join(parts)}.")
    return lines


def _what(results: Results, cell: str) -> dict[str, object]:
    return {key: value for key, value in results.config(cell).items() if key != "name"}
