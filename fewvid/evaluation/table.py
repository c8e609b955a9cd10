"""Scores before and after as a small table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table


@dataclass(frozen=True)
class Line:
    """One row: shares in 0..1; margin: half of the 95 % interval of `after`, where there is one."""

    name: str
    chance: float | None
    before: float
    after: float
    margin: float | None = None
    strong: bool = False


def table(title: str, lines: Sequence[Line]) -> Table:
    """Percentages: what is asked, chance, before, after, and the change in points."""
    made = Table(title=title, title_justify="left", title_style="bold")
    made.add_column("questions about")
    for name in ("chance", "before", "after", "points"):
        made.add_column(name, justify="right")
    for line in lines:
        after = f"{line.after:.1%}" + (f" ± {100 * line.margin:.1f}" if line.margin else "")
        gained = 100 * (line.after - line.before)
        colour = "green" if gained >= 5 else "red" if gained <= -2 else ""
        made.add_row(
            line.name,
            f"{line.chance:.1%}" if line.chance is not None else "",
            f"{line.before:.1%}",
            after,
            f"[{colour}]{gained:+.1f}[/{colour}]" if colour else f"{gained:+.1f}",
            style="bold" if line.strong else "",
        )
    return made
