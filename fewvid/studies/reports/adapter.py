"""`adapter`: how the adapter is built, where the sampler stands, what *weighted* means."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fewvid.studies import figures, marks
from fewvid.studies.reports import parts, verdicts
from fewvid.studies.reports.report import Picture, Report
from fewvid.studies.results import Results


def _ranked(results: Results, of: str = "") -> list[str]:
    """Cells from the best."""
    return sorted(results.cells, key=lambda name: -results.estimate(name, "clips", of).mean)


def _changed(results: Results, key: str) -> list[tuple[str, str]]:
    """Pairs of cells that differ in one key of the sampler alone, the plain one second."""
    pairs = []
    for name in results.cells:
        config = results.config(name)
        value = config["sampling"].get(key)
        for other in results.cells:
            of_other = results.config(other)
            rest = {k: v for k, v in config["sampling"].items() if k != key}
            plain = {k: v for k, v in of_other["sampling"].items() if k != key}
            alike = rest == plain and _queries(results, name) == _queries(results, other)
            if alike and value not in (None, "before") and _is_plain(of_other, key):
                pairs.append((name, other))
    return pairs


def _is_plain(config: dict, key: str) -> bool:
    return config["sampling"].get(key) in (None, "before")


def _queries(results: Results, name: str) -> str:
    return results.config(name)["adapter"].get("queries", "")


def findings(results: Results) -> Sequence[str]:
    """The best, what is seen below it, and what site and reading of *weighted* change."""
    lines = []
    for of in ("", *results.kinds("clips")):
        best, *others = _ranked(results, of)
        differences = {name: results.difference(name, best, "clips", of) for name in others}
        below = [f"“{n}” ({verdicts.points(d)})" for n, d in differences.items() if d.high < 0]
        level = [f"“{n}”" for n, d in differences.items() if not d.high < 0]
        lines.append(
            f"Best on {of or 'all'} questions: “{best}” "
            f"({results.estimate(best, 'clips', of)} %). Below it by more than the interval: "
            f"{', '.join(below) or 'none'}. Not told apart from it: {', '.join(level) or 'none'}."
        )
    for name, plain in _changed(results, "weighting"):
        reading = results.config(name)["sampling"]["weighting"]
        claim = f"reading *weighted* as “{reading}” is better than as selection only"
        lines.append(verdicts.gain(claim, results.difference(name, plain, "clips", "")))
    for name, plain in _changed(results, "site"):
        claim = f"sampling after the adapter (“{name}”) is better than before it (“{plain}”)"
        lines.append(verdicts.gain(claim, results.difference(name, plain, "clips", "")))
    lines.append(_equal(results))
    return lines


def _equal(results: Results) -> str:
    """Whether all cost the decoder the same, and which costs least in all."""
    tokens = {name: results.values["costs"][name]["visual_tokens"] for name in results.cells}
    whole = {name: parts.cost(results, name, "seconds") for name in results.cells}
    least, most = (choose(whole, key=lambda n: whole[n]) for choose in (min, max))
    counts = sorted(set(tokens.values()))
    said = (
        f"The decoder reads {counts[0]} tokens a clip in every cell"
        if len(counts) == 1
        else f"The decoder reads {' or '.join(map(str, counts))} tokens a clip: not an equal cost"
    )
    return (
        f"{said}; a whole clip takes {1e3 * whole[least]:.2f} ms (“{least}”) to "
        f"{1e3 * whole[most]:.2f} ms (“{most}”)."
    )


def _ahead(results: Results, kind: str) -> str:
    """Whether the best is seen above the others, as a title."""
    best, *others = _ranked(results, kind)
    ahead = {name: results.difference(best, name, "clips", kind) for name in others}
    level = sum(not one.low > 0 for one in ahead.values())
    if level:
        return (
            f"{kind.capitalize()} questions: {level} of the {len(ahead)} others are not told apart "
            f"from the best, “{best}”"
        )
    least = verdicts.short(ahead[others[0]])
    return f"{kind.capitalize()} questions: “{best}” is best, {least} points above “{others[0]}”"


def accuracy(results: Results, file: Path) -> None:
    """Accuracy of each, by kind of questions."""
    cells, kinds = list(results.cells), results.kinds("clips")
    with figures.figure(file, len(kinds), width=5.4, height=4.0) as panels:
        for axes, kind in zip(panels, kinds, strict=True):
            marks.shares(
                axes, cells, [("_", [results.estimate(name, "clips", kind) for name in cells])]
            )
            figures.percent(axes, f"{kind} questions answered rightly", "x")
            axes.set_title(_ahead(results, kind))
        for axes in panels[1:]:
            axes.set_yticklabels([])


def costs(results: Results, file: Path) -> None:
    """Where the operations and the time of each go."""
    cells = list(results.cells)
    with figures.figure(file, 2, width=5.4, height=4.0) as axes:
        for at, what, label in zip(axes, parts.UNITS, ("Operations", "Time"), strict=True):
            parts.stacked(at, results, cells, cells, what)
            least = min(cells, key=lambda name: parts.cost(results, name, what))
            most = max(cells, key=lambda name: parts.cost(results, name, what))
            more = parts.cost(results, most, what) / parts.cost(results, least, what)
            at.set_title(f"{label}: “{least}” takes least, “{most}” {more:.1f} times as much")
        axes[1].set_xlabel(f"ms a clip, on {parts.where(results)}")
        axes[1].set_yticklabels([])
        figures.shared_legend(axes[0])


REPORT = Report(
    title="How the adapter is built, and what *weighted* means",
    asks="Should tokens be chosen before or after the adapter, and what is done with the weights?",
    how=(
        "Every cell begins with a new adapter, which learns on pictures first and is then trained "
        "by S3-IV. The decoder reads K tokens a frame in all of them. *Weighted* may mean that the "
        "response selects only, that it multiplies the kept tokens (scale), or that it is added "
        "to the adapter's attention (bias)."
    ),
    findings=findings,
    pictures=[
        Picture("accuracy.png", "Accuracy of each; 95 % intervals.", accuracy),
        Picture(
            "costs.png", "Cost of one question about a clip, by part; quartiles of times.", costs
        ),
    ],
)
