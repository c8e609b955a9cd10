"""How the figures of a study look: one palette, axes with units, the message in the title.

What is drawn on the axes is in `marks`.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # no window is ever opened
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, PercentFormatter
from matplotlib.transforms import ScaledTranslation

# Okabe and Ito's colours, which people who confuse red and green can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
GREY = "#777777"
STYLE: dict[Any, Any] = {
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
    "legend.fontsize": 9,
    "figure.dpi": 130,
}
LETTER = 0.62  # mean width of a bold letter over its height
NARROWEST = 0.1  # an axis of shares shows at least ten points, so that noise looks like noise


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
            _wrap_titles(picture)
            picture.savefig(file)
        finally:
            plt.close(picture)


def _wrap_titles(picture: Figure) -> None:
    """Breaks titles to the width of their axes, known once all else is laid out."""
    engine = picture.get_layout_engine()
    if engine is not None:
        engine.execute(picture)
    letter = LETTER * STYLE["axes.titlesize"] * picture.dpi / 72
    for axes in picture.axes:
        room = int(axes.get_window_extent().width / letter)
        whole = axes.get_title(loc="left")
        for parted, held in (
            (" = ", "\u00a0=\u00a0"),
            (" %", "\u00a0%"),
            (" ± ", "\u00a0±\u00a0"),
            ("(± ", "(±\u00a0"),
        ):
            whole = whole.replace(parted, held)
        axes.set_title(textwrap.fill(whole, max(room, 20)))


def percent(axes: Axes, label: str, side: str = "y") -> None:
    """An axis of shares: in per cent, never below 0 or above 100."""
    low, high = getattr(axes, f"get_{side}lim")()
    wider = max(0.0, NARROWEST - (high - low)) / 2
    high = min(1.0, high + wider)
    getattr(axes, f"set_{side}lim")(max(0.0, min(low - wider, high - NARROWEST)), high)
    getattr(axes, f"{side}axis").set_major_formatter(PercentFormatter(1.0))
    getattr(axes, f"set_{side}label")(label)


def powers(axes: Axes, xs: Sequence[float], label: str) -> None:
    """A logarithmic x axis whose ticks are the values themselves."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(xs), [f"{x:g}" for x in xs])
    axes.minorticks_off()
    axes.set_xlabel(label)


def level(axes: Axes, value: float, label: str) -> None:
    """A dashed line across: chance, or what is aimed at."""
    if not math.isnan(value):
        axes.axhline(value, color=GREY, linewidth=1, linestyle="--", label=label)


def legend(axes: Axes, columns: int = 3, drop: float = 0.5) -> None:
    """A legend `drop` inches below the axes, where it covers nothing."""
    below = ScaledTranslation(0, -drop, axes.figure.dpi_scale_trans)
    axes.legend(
        *_named(axes),
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        bbox_transform=axes.transAxes + below,
        ncols=columns,
        columnspacing=1.4,
        handlelength=1.6,
    )


def shared_legend(axes: Axes, columns: int = 4) -> None:
    """One legend below a picture whose panels all draw what this one does."""
    picture = axes.get_figure()
    assert isinstance(picture, Figure)
    picture.legend(*_named(axes), loc="outside lower center", ncols=columns)


def _named(axes: Axes) -> tuple[list[Any], list[str]]:
    """What a legend shows: first what has intervals, then levels."""
    both = list(zip(*axes.get_legend_handles_labels(), strict=True))
    both.sort(key=lambda one: isinstance(one[0], Line2D | LineCollection))
    return [handle for handle, _ in both], [label for _, label in both]


def plain_log(axes: Axes) -> None:
    """Writes the ticks of a logarithmic x axis as plain numbers, few of them."""
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.minorticks_off()
