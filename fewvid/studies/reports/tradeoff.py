"""`tradeoff`: tokens of a frame against frames of a clip, and what each combination costs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes

from fewvid.studies import figures, marks
from fewvid.studies.reports import late, parts, verdicts
from fewvid.studies.reports.report import Picture, Report
from fewvid.studies.results import Estimate, Results

COSTS = {
    "operations of the decoder": ("flops", "decoder", "GFLOP a clip in the decoder"),
    "time of a whole clip": ("seconds", "", "ms a clip, from pixels to the first logits"),
}


def _grid(results: Results) -> dict[tuple[int, int], str]:
    """By (T, K): the cell that applies K to the model of T frames."""
    configs = {name: results.config(name) for name in results.cells}
    return {(c["frames"], c["keep"]): name for name, c in configs.items() if c["of"]}


def _axes(results: Results) -> tuple[list[int], list[int]]:
    """All T and all K, ascending."""
    grid = _grid(results)
    return sorted({frames for frames, _ in grid}), sorted({keep for _, keep in grid})


def _size(results: Results, cell: str) -> str:
    config = results.config(cell)
    return f"T = {config['frames']}, K = {config['keep']}"


def _enough(results: Results, kind: str) -> tuple[int, int]:
    """The T and the K past which no gain is seen, the other being the largest."""
    grid = _grid(results)
    counts, keeps = _axes(results)
    over_frames = [grid[frames, keeps[-1]] for frames in counts]
    over_tokens = [grid[counts[-1], keep] for keep in keeps]
    frames = verdicts.enough(results, over_frames, "clips", kind)
    keep = verdicts.enough(results, over_tokens, "clips", kind)
    return results.config(frames)["frames"], results.config(keep)["keep"]


def _cost(results: Results, cell: str, by: str) -> float:
    what, part, _ = COSTS[by]
    return parts.cost(results, cell, what, part)


def _front(results: Results, by: str) -> list[str]:
    """The cells that no cheaper one equals on all questions, from the cheapest."""
    front: list[str] = []
    for cell in sorted(_grid(results).values(), key=lambda name: _cost(results, name, by)):
        mean = results.estimate(cell, "clips", "").mean
        if not front or mean > results.estimate(front[-1], "clips", "").mean:
            front.append(cell)
    return front


def _cheapest(results: Results, by: str) -> tuple[str, str]:
    """The cheapest cell of the front that is not seen below the best, and the best."""
    front = _front(results, by)
    best = front[-1]
    good = (c for c in front if results.difference(c, best, "clips", "").high >= 0)
    return next(good, best), best


def findings(results: Results) -> Sequence[str]:
    """Where returns diminish in each direction, and what is worth its cost."""
    counts, keeps = _axes(results)
    lines = []
    for kind in results.kinds("clips"):
        frames, keep = _enough(results, kind)
        lines.append(
            f"Seen on {kind} questions: {verdicts.helps(frames, counts)} frames (of up to "
            f"{counts[-1]}, with K = {keeps[-1]}), and {verdicts.helps(keep, keeps)} tokens a "
            f"frame (of up to {keeps[-1]}, with T = {counts[-1]})."
        )
        lines += _splits(results, kind)
    missing = late.unlearnt(results, [*_grid(results).values()], "clips")
    if missing:
        lines.append(
            f"None of these models has learnt {' and '.join(missing)} (at chance), so what it "
            "would need of frames and tokens is not known from this page."
        )
    for by in COSTS:
        cheap, best = _cheapest(results, by)
        less = _cost(results, best, by) / _cost(results, cheap, by)
        change = verdicts.points(results.difference(cheap, best, "clips", ""))
        cheaper = (
            f"the cheapest that is not seen below it is {_size(results, cheap)}, {less:.1f} times "
            f"cheaper ({change})"
            if cheap != best
            else "no cheaper one on the front is as good"
        )
        lines.append(
            f"Best on all questions is {_size(results, best)} "
            f"({results.estimate(best, 'clips', '')} %); by {by}, {cheaper}. The Pareto front: "
            f"{'; '.join(_size(results, cell) for cell in _front(results, by))}."
        )
    return lines


def _splits(results: Results, kind: str) -> list[str]:
    """The best use of the budget that can be split in most ways, in words."""
    by_budget: dict[int, list[str]] = {}
    for (frames, keep), cell in _grid(results).items():
        by_budget.setdefault(frames * keep, []).append(cell)
    most = max(len(cells) for cells in by_budget.values())
    lines = []
    for budget, cells in sorted(by_budget.items()):
        if len(cells) < max(most, 2):
            continue
        ranked = sorted(cells, key=lambda name: results.estimate(name, "clips", kind).mean)
        worst, best = ranked[0], ranked[-1]
        apart = verdicts.points(results.difference(best, worst, "clips", kind))
        lines.append(
            f"With {budget} tokens a clip, {_size(results, best)} is the best split for {kind} "
            f"questions, {apart} above the worst, {_size(results, worst)}."
        )
    return lines


def heat(results: Results, file: Path) -> None:
    """Accuracy over K and T; a dashed line joins what costs the decoder the same."""
    grid, kinds = _grid(results), results.kinds("clips")
    counts, keeps = _axes(results)
    down = counts[::-1]
    with figures.figure(file, len(kinds), width=5.6, height=4.4) as panels:
        for axes, kind in zip(panels, kinds, strict=True):
            found = [[results.estimate(grid[t, k], "clips", kind) for k in keeps] for t in down]
            marks.heat(axes, down, keeps, found)
            _equal_budgets(axes, down, keeps)
            axes.set_xlabel("K, tokens kept of each frame")
            frames, keep = _enough(results, kind)
            axes.set_title(
                f"{kind.capitalize()} questions: {verdicts.helps(frames, counts)} frames, "
                f"{verdicts.helps(keep, keeps)} tokens"
            )
        panels[0].set_ylabel("T, frames of a clip")


def _equal_budgets(axes: Axes, down: Sequence[int], keeps: Sequence[int]) -> None:
    """Joins cells with equal K T where they meet, and writes K T at the upper and right edge."""
    for row in range(len(down) - 1):
        for column in range(len(keeps) - 1):
            if down[row] * keeps[column] == down[row + 1] * keeps[column + 1]:
                ends = ([column + 0.28, column + 0.72], [row + 0.28, row + 0.72])
                axes.plot(*ends, color="white", linewidth=2.6)
                axes.plot(*ends, color="black", linewidth=1.2, linestyle=(0, (2, 1)))
    upper, right = axes.secondary_xaxis("top"), axes.secondary_yaxis("right")
    upper.set_xticks(range(len(keeps)), [str(down[0] * keep) for keep in keeps])
    right.set_yticks(range(len(down)), [str(frames * keeps[-1]) for frames in down])
    upper.set_xlabel("K T, tokens of a clip for the decoder (dashed: equal)", fontsize=8)
    for edge in (upper, right):
        edge.tick_params(length=0, labelsize=8, colors=figures.GREY)


def _worth(results: Results, by: str) -> str:
    """What the best costs against what is as good, as a title."""
    cheap, best = _cheapest(results, by)
    if cheap != best:
        less = _cost(results, best, by) / _cost(results, cheap, by)
        return (
            f"{_size(results, cheap)} is not seen below the best, {_size(results, best)}, at "
            f"{less:.1f} times less"
        )
    if len(_front(results, by)) == 1:
        return f"The best, {_size(results, best)}, is also the cheapest"
    return f"Cheaper ones on the front are seen below the best, {_size(results, best)}"


def pareto(results: Results, file: Path) -> None:
    """Accuracy on all questions over cost; a colour a T, a point a K."""
    grid = _grid(results)
    counts, keeps = _axes(results)
    with figures.figure(file, 2, width=5.6, height=4.6, share_y=True) as panels:
        for axes, by in zip(panels, COSTS, strict=True):
            what, _, label = COSTS[by]
            unit = parts.UNITS[what][1]
            for colour, frames in enumerate(counts):
                cells = [grid[frames, keep] for keep in keeps]
                xs = [_cost(results, cell, by) / unit for cell in cells]
                found = [results.estimate(cell, "clips", "") for cell in cells]
                marks.line(axes, xs, found, f"T = {frames}", colour, linewidth=0.8)
                if axes is panels[0]:  # there K grows from left to right; times lie too near
                    _ends(axes, keeps, xs, found, colour)
            front = _front(results, by)
            axes.step(
                [_cost(results, cell, by) / unit for cell in front],
                [results.estimate(cell, "clips", "").mean for cell in front],
                where="post",
                color="#bbbbbb",
                linewidth=5,
                alpha=0.6,
                zorder=0,
                label="Pareto front",
            )
            axes.set_xscale("log")
            figures.plain_log(axes)
            axes.set_xlabel(label)
            axes.set_title(_worth(results, by))
        figures.percent(panels[0], "all questions answered rightly")
        figures.shared_legend(panels[0], len(counts) + 1)


def _ends(
    axes: Axes, keeps: Sequence[int], xs: Sequence[float], found: Sequence[Estimate], colour: int
) -> None:
    """Says the K of a line's ends."""
    for at in (0, -1):
        axes.annotate(
            f"K = {keeps[at]}",
            (xs[at], found[at].mean),
            (5, -10),
            textcoords="offset points",
            fontsize=7,
            color=figures.COLOURS[colour],
        )


REPORT = Report(
    title="Tokens of a frame against frames of a clip",
    asks="How should a budget of tokens be spent, and where do returns diminish?",
    how=(
        "One model a number of frames T, trained by S3-IV with K drawn anew at each step, answers "
        "with every K. The clips are equally long whatever T is: fewer frames lie further apart. "
        "No gain is seen where the interval of the difference to the most that was tried holds 0, "
        "there and for all between."
    ),
    findings=findings,
    pictures=[
        Picture("heat.png", "Accuracy over K and T, with half of the 95 % interval.", heat),
        Picture("pareto.png", "Accuracy over cost; along a line K grows.", pareto),
    ],
    columns=(("temporal", "clips", "temporal"), ("static", "clips", "static")),
)
