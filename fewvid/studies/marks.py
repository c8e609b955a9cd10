"""What the figures of a study are made of: lines, points, bars and tables, with 95 % intervals."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from fewvid.studies.figures import COLOURS, GREY
from fewvid.studies.results import Estimate

Groups = Sequence[tuple[str, Sequence[Estimate]]]
SIGNS = "os^Dv"
ROOM = 0.05  # least distance of a mean from the end of an axis of differences


def line(
    axes: Axes,
    xs: Sequence[float],
    ys: Sequence[Estimate],
    label: str,
    colour: int = 0,
    **style: Any,
) -> None:
    """Shares as points with intervals, joined. Intervals end at 0 and 100 %."""
    axes.errorbar(
        xs,
        [y.mean for y in ys],
        _inside(ys),
        label=label,
        color=COLOURS[colour % len(COLOURS)],
        clip_on=False,
        **{"marker": SIGNS[colour % len(SIGNS)], "markersize": 5, "capsize": 3, "linewidth": 1.6}
        | style,
    )


def bars(axes: Axes, names: Sequence[str], groups: Groups) -> None:
    """Upright bars of shares with intervals, one of each group for each name."""
    depth = 0.8 / len(groups)
    for number, (label, values) in enumerate(groups):
        at = [place + (number - (len(groups) - 1) / 2) * depth for place in range(len(names))]
        axes.bar(
            at,
            [value.mean for value in values],
            depth,
            yerr=_inside(values),
            label=label,
            color=COLOURS[number % len(COLOURS)],
            error_kw={"capsize": 2, "ecolor": "#333333", "elinewidth": 1},
        )
    axes.set_xticks(range(len(names)), names)
    axes.set_ylim(0, 1)
    axes.grid(axis="x", visible=False)


def shares(axes: Axes, names: Sequence[str], groups: Groups) -> None:
    """Shares as points along x, one of each group for each name; the first name on top."""
    _rows(axes, names, groups, [_inside(values) for _, values in groups], clip_on=False)


def scatter(
    axes: Axes,
    points: Mapping[str, tuple[Estimate, Estimate]],
    label: str,
    colour: int = 0,
    named: Sequence[str] = (),
) -> None:
    """Pairs of shares, each with both its intervals; those `named` have their name beside them."""
    xs, ys = zip(*points.values(), strict=True)
    axes.errorbar(
        [x.mean for x in xs],
        [y.mean for y in ys],
        _inside(ys),
        _inside(xs),
        label=label,
        color=COLOURS[colour % len(COLOURS)],
        marker=SIGNS[colour % len(SIGNS)],
        markersize=5,
        capsize=2,
        linewidth=0.9,
        linestyle="none",
        clip_on=False,
    )
    for name in named:
        if name in points:
            x, y = points[name]
            shift = {"xytext": (6, -11), "textcoords": "offset points"}
            axes.annotate(name, (x.mean, y.mean), fontsize=8, color=GREY, **shift)


def differences(axes: Axes, names: Sequence[str], groups: Groups, label: str) -> None:
    """Differences in points along x, one of each group for each name; a line where there is none.

    An interval that is many times as wide as most others, as one of two seeds may be, is cut.
    """
    halves = [[100 * value.half for value in values] for _, values in groups]
    in_points = [(name, [Estimate(100 * v.mean, 0.0) for v in values]) for name, values in groups]
    _rows(axes, names, in_points, [[half, half] for half in halves])
    known = [v for _, values in groups for v in values if not math.isnan(v.mean)]
    low, high = (choose([0.0, *(v.mean for v in known)]) for choose in (min, max))
    usual = statistics.median([v.half for v in known] or [0.0])
    most = max(ROOM, high - low, 3 * usual)
    low = max(low - most, min([0.0, *(v.low for v in known)]))
    high = min(high + most, max([0.0, *(v.high for v in known)]))
    room = max(0.05 * (high - low), ROOM / 5)
    axes.set_xlim(100 * (low - room), 100 * (high + room))
    axes.axvline(0, color=GREY, linewidth=1)
    axes.set_xlabel(label)


def plain(axes: Axes, names: Sequence[str], groups: Sequence[tuple[str, Sequence[float]]]) -> None:
    """Numbers without an interval as points along x, rows as in `shares`."""
    known = [(label, [Estimate(value, 0.0) for value in values]) for label, values in groups]
    _rows(axes, names, known, [None] * len(groups), clip_on=False)


def upright(axes: Axes, value: float, label: str) -> None:
    """A dashed line from top to bottom, at what the rows are held against."""
    if not math.isnan(value):
        axes.axvline(value, color=GREY, linewidth=1.2, linestyle="--", label=label)


def chance(axes: Axes, place: int, value: float) -> None:
    """What guessing gives, across the bars of one name."""
    if not math.isnan(value):
        label = "" if place else "chance"
        axes.hlines(
            value, place - 0.44, place + 0.44, "black", linestyle="--", linewidth=1.2, label=label
        )


def _rows(
    axes: Axes,
    names: Sequence[str],
    groups: Groups,
    intervals: Sequence[list[list[float]] | None],
    **style: Any,
) -> None:
    depth = 0.64 / len(groups)
    for number, ((label, values), sides) in enumerate(zip(groups, intervals, strict=True)):
        axes.errorbar(
            [value.mean for value in values],
            [place + (number - (len(groups) - 1) / 2) * depth for place in range(len(names))],
            xerr=sides,
            label=label,
            color=COLOURS[number % len(COLOURS)],
            marker=SIGNS[number % len(SIGNS)],
            markersize=5,
            capsize=2.5,
            linewidth=1.2,
            linestyle="none",
            **style,
        )
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    for place in range(1, len(names)):
        axes.axhline(place - 0.5, color="#eeeeee", linewidth=0.8)
    axes.grid(axis="y", visible=False)


def _inside(values: Sequence[Estimate]) -> list[list[float]]:
    """The parts of intervals below and above their means, cut at 0 and 1."""
    below = [value.mean - max(0.0, value.low) for value in values]
    above = [min(1.0, value.high) - value.mean for value in values]
    return [below, above]


def heat(
    axes: Axes,
    rows: Sequence[Any],
    columns: Sequence[Any],
    values: Sequence[Sequence[Estimate]],
) -> None:
    """A table of shares as colours, with the numbers written in."""
    means = [[value.mean for value in row] for row in values]
    low, high = min(map(min, means)), max(map(max, means))
    axes.imshow(means, cmap="cividis", aspect="auto", vmin=low, vmax=high)
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            colour = "white" if value.mean < (low + high) / 2 else "black"
            style: dict[str, Any] = {"ha": "center", "va": "center", "color": colour}
            axes.text(j, i - 0.1, f"{100 * value.mean:.1f} %", fontsize=9, **style)
            axes.text(j, i + 0.18, f"± {100 * value.half:.1f}", fontsize=7, **style)
    axes.set_xticks(range(len(columns)), [str(c) for c in columns])
    axes.set_yticks(range(len(rows)), [str(r) for r in rows])
    axes.grid(visible=False)
