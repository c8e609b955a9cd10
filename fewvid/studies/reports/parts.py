"""Where the operations and the time of a question about a clip go, as stacked bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from fewvid.studies import figures
from fewvid.studies.results import Results

PARTS = ("encoder", "sampler", "adapter", "decoder")
UNITS = {"flops": ("GFLOP a clip", 1e9), "seconds": ("ms a clip", 1e-3)}


WHISKERS: dict[str, Any] = {"linestyle": "none", "ecolor": "#333333", "elinewidth": 1, "capsize": 2}


def cost(results: Results, cell: str, what: str, part: str = "") -> float:
    """Of one clip: `flops` or `seconds` of a part, or of all of them."""
    found = results.values["costs"][cell][what]
    return found[part] if part else sum(found[name] for name in PARTS)


def where(results: Results) -> str:
    """The device that the times were measured on, without its versions."""
    return results.values["measured_on"]["costs"].split(",")[0]


def stacked(axes: Axes, results: Results, cells: Sequence[str], names: Sequence[str], what: str):
    """A bar a cell along x, by part; `what` is "flops" or "seconds", these with their quartiles."""
    label, unit = UNITS[what]
    end = [0.0] * len(cells)
    for colour, part in enumerate(PARTS):
        sizes = [cost(results, cell, what, part) / unit for cell in cells]
        axes.barh(names, sizes, 0.65, end, label=part, color=figures.COLOURS[colour])
        end = [low + size for low, size in zip(end, sizes, strict=True)]
        if what == "seconds":
            sides = [_quartiles(results, cell, part, unit) for cell in cells]
            axes.errorbar(end, names, xerr=[*zip(*sides, strict=True)], **WHISKERS)
    axes.set_ylim(len(cells) - 0.5, -0.5)
    axes.set_xlabel(label)
    axes.grid(axis="y", visible=False)


def _quartiles(results: Results, cell: str, part: str, unit: float) -> tuple[float, float]:
    """How far the quartiles of a part's time lie below and above its median."""
    found = results.values["costs"][cell]
    low, high = found["quartiles"][part]
    median = found["seconds"][part]
    return (median - low) / unit, (high - median) / unit
