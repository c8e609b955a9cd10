"""How the figures of a study look: one palette, intervals drawn, the message in the title."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # no window is ever opened
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fewvid.studies.results import Estimate

# Okabe and Ito's colours, which people who confuse red and green can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
GREY = "#888888"
STYLE = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.dpi": 130,
}


@contextmanager
def figure(
    file: Path, columns: int = 1, *, width: float = 6.4, height: float = 4.0, share_y: bool = False
) -> Iterator[list[Axes]]:
    """The axes of a picture that is written to `file` at the end; its folder must be there."""
    with plt.rc_context(STYLE):
        made: tuple[Figure, Any] = plt.subplots(
            1,
            columns,
            figsize=(width * columns, height),
            sharey=share_y,
            layout="constrained",
            squeeze=False,
        )
        picture, axes = made
        try:
            yield list(axes[0])
            picture.savefig(file)
        finally:
            plt.close(picture)


def percent(axes: Axes, label: str, low: float | None = None, high: float | None = 1.0) -> None:
    """The y axis in per cent of questions answered rightly."""
    axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0, decimals=0))
    axes.set_ylabel(label)
    axes.set_ylim(bottom=low, top=high)


def line(
    axes: Axes,
    xs: Sequence[float],
    ys: Sequence[Estimate],
    label: str,
    colour: int = 0,
    **style: Any,
) -> None:
    """Points with intervals, joined."""
    axes.errorbar(
        xs,
        [y.mean for y in ys],
        [y.half for y in ys],
        label=label,
        color=COLOURS[colour % len(COLOURS)],
        **{"marker": "o", "markersize": 4.5, "capsize": 3, "linewidth": 1.6} | style,
    )


def bars(
    axes: Axes, names: Sequence[str], groups: Sequence[tuple[str, Sequence[Estimate]]]
) -> None:
    """Horizontal bars with intervals, one of each group for each name; the first name on top."""
    depth = 0.8 / len(groups)
    for number, (label, values) in enumerate(groups):
        at = [place + (number - (len(groups) - 1) / 2) * depth for place in range(len(names))]
        axes.barh(
            at,
            [value.mean for value in values],
            depth,
            xerr=[value.half for value in values],
            label=label,
            color=COLOURS[number % len(COLOURS)],
            error_kw={"capsize": 2, "ecolor": "#333333", "elinewidth": 1},
        )
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)


def heat(
    axes: Axes,
    rows: Sequence[Any],
    columns: Sequence[Any],
    values: Sequence[Sequence[float]],
    *,
    words: str = "{:.0%}",
) -> None:
    """A table of shares as colours, with the numbers written in; None of them may be missing."""
    low, high = min(map(min, values)), max(map(max, values))
    axes.imshow(values, cmap="cividis", aspect="auto", vmin=low, vmax=high)
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            dark = value < (low + high) / 2
            axes.text(j, i, words.format(value), ha="center", va="center",
                      color="white" if dark else "black", fontsize=9)  # fmt: skip
    axes.set_xticks(range(len(columns)), [str(c) for c in columns])
    axes.set_yticks(range(len(rows)), [str(r) for r in rows])
    axes.grid(visible=False)


def level(axes: Axes, value: float, label: str) -> None:
    """A dashed line across: chance, or what is aimed at."""
    axes.axhline(value, color=GREY, linewidth=1, linestyle="--", label=label)


def powers(axes: Axes, xs: Sequence[float], label: str) -> None:
    """A logarithmic x axis whose ticks are the values themselves."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(xs), [f"{x:g}" for x in xs])
    axes.minorticks_off()
    axes.set_xlabel(label)
