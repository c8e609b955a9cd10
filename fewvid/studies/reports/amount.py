"""`amount`: how many videos are needed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes

from fewvid.studies import figures, marks
from fewvid.studies.reports import late, longer, verdicts
from fewvid.studies.reports.report import Picture, Report
from fewvid.studies.results import Estimate, Results

NONE, TENTH, WHOLE = "0 %", "10 %", "100 %"
TEMPORAL, DIRECTION, KEPT, MOST_LOST = 0.85, 0.80, 0.97, 0.01
UNSURE = 0.05  # half an interval from which on seeing no gain is no sign that there is none


def _order(results: Results) -> list[str]:
    """Cells from no clips to the most, those that were trained as long as all."""
    return sorted(longer.usual(results), key=lambda name: results.config(name)["clips"])


def findings(results: Results) -> Sequence[str]:
    """Whether a tenth is nearly as good as all, and whether all is enough."""
    kinds, cells = results.kinds("clips"), _order(results)
    lines = []
    for kind in kinds:
        claim = f"10 % of the videos keep the accuracy of 100 % on {kind} questions"
        lines.append(
            verdicts.kept(claim, results.ratio(TENTH, WHOLE, "clips", kind), KEPT)
            + f" {results.estimate(TENTH, 'clips', kind)} against "
            f"{results.estimate(WHOLE, 'clips', kind)} %."
        )
    soon = late.soon(results, "clips", "temporal")
    if soon:
        claim = f"10 % keep the accuracy of 100 % on temporal questions {late.WITHOUT}"
        lines.append(verdicts.kept(claim, results.ratio(TENTH, WHOLE, "clips", soon), KEPT))
    if "temporal" in kinds:
        found = results.estimate(WHOLE, "clips", "temporal")
        lines.append(verdicts.reached("temporal accuracy at 100 %", found, TEMPORAL))
    if "direction" in results.dimensions("clips"):
        found = results.estimate(WHOLE, "clips", ["direction"])
        lines.append(verdicts.reached("accuracy on direction at 100 %", found, DIRECTION))
    kept = results.difference(WHOLE, NONE, "pictures", "static")
    claim = "100 % of the videos cost at most 1 point on pictures"
    lines.append(verdicts.gain(claim, kept, -MOST_LOST))
    lines += [_enough(results, kind) for kind in kinds]
    if cells[-1] != WHOLE:
        more = [results.difference(cells[-1], WHOLE, "clips", kind) for kind in kinds]
        parts = [f"{verdicts.points(m)} ({kind})" for m, kind in zip(more, kinds, strict=True)]
        lines.append(f"{cells[-1]} against 100 %: {', '.join(parts)}.")
    lines += _twice(results)
    for name in results.cells:
        if results.config(name)["steps"]:  # more clips may want more steps, and fewer less
            clips = min(results.config(name)["clips"], results.config(WHOLE)["clips"])
            other = next(cell for cell in cells if results.config(cell)["clips"] == clips)
            more = [results.difference(name, other, "clips", kind) for kind in kinds]
            parts = [f"{verdicts.points(m)} ({kind})" for m, kind in zip(more, kinds, strict=True)]
            lines.append(f"{name}, against {other}: {', '.join(parts)}.")
    return lines


def _twice(results: Results) -> list[str]:
    """Whether a tenth keeps as much when both are trained for longer."""
    tenth, whole = (longer.twice(results, cell) for cell in (TENTH, WHOLE))
    if not (tenth and whole):
        return []
    lines = []
    for kind in results.kinds("clips"):
        claim = f"10 % keep the accuracy of 100 % on {kind} questions with twice the steps too"
        lines.append(
            verdicts.kept(claim, results.ratio(tenth, whole, "clips", kind), KEPT)
            + f" {results.estimate(tenth, 'clips', kind)} against "
            f"{results.estimate(whole, 'clips', kind)} %."
        )
    most = longer.twice(results, _order(results)[-1])
    if most and most != whole:
        parts = [
            f"{verdicts.points(results.difference(most, whole, 'clips', kind))} ({kind})"
            for kind in results.kinds("clips")
        ]
        lines.append(f"{most}, against {whole}: {', '.join(parts)}.")
    if "temporal" in results.kinds("clips"):
        found = results.estimate(whole, "clips", "temporal")
        claim = "temporal accuracy at 100 % with twice the steps"
        lines.append(verdicts.reached(claim, found, TEMPORAL))
    return lines


def _enough(results: Results, kind: str) -> str:
    cells = _order(results)
    first, last = verdicts.enough(results, cells, "clips", kind), cells[-1]
    if first == last:
        return f"On {kind} questions more still helps up to {last}, the most that was tried."
    left = results.difference(first, last, "clips", kind)
    if left.half > UNSURE:
        return (
            f"Past which amount {kind} questions gain no more, these seeds cannot say: from "
            f"{first} to {last} it is {verdicts.points(_turned(left))}."
        )
    return (
        f"On {kind} questions no gain is seen past {first} ({results.config(first)['clips']:,} "
        f"clips): {verdicts.points(left)} against {last}."
    )


def _turned(found: Estimate) -> Estimate:
    return Estimate(-found.mean, found.half)


def by_amount(results: Results, file: Path) -> None:
    """Accuracy over the number of clips: means on the left, temporal dimensions on the right."""
    cells = _order(results)
    temporal = results.dimensions("clips", "temporal")
    with figures.figure(file, 2, width=5.6, height=4.8, share_y=True) as (means, dimensions):
        places = _places(means, results, cells)
        _places(dimensions, results, cells)
        for colour, (label, exam, kind) in enumerate(REPORT.columns):
            found = [results.estimate(name, exam, kind) for name in cells]
            marks.line(means, places, found, label, colour)
        figures.level(means, results.chance("clips", "temporal"), "chance, temporal")
        for colour, name in enumerate(temporal):
            found = [results.estimate(cell, "clips", [name]) for cell in cells]
            marks.line(dimensions, places, found, name, colour)
        for axes in (means, dimensions):
            figures.legend(axes, drop=0.68)
        figures.percent(means, "questions answered rightly")
        kind, *_ = results.kinds("clips")
        kept = results.ratio(TENTH, WHOLE, "clips", kind)
        means.set_title(f"10 % of the videos keep {kept} % of the {kind} accuracy of 100 %")
        dimensions.set_title(_hungriest(results, temporal))


def _places(axes: Axes, results: Results, cells: Sequence[str]) -> list[float]:
    """Where amounts stand along a logarithmic axis, with a place for 0 left of the smallest."""
    clips = [results.config(name)["clips"] for name in cells]
    first = min(math.log10(count) for count in clips if count)
    places = [math.log10(count) if count else first - 0.6 for count in clips]
    axes.set_xticks(places, [f"{n}\n{c:,}" for n, c in zip(cells, clips, strict=True)], fontsize=8)
    axes.set_xlabel("share of the videos, and how many clips")
    return places


def _hungriest(results: Results, dimensions: Sequence[str]) -> str:
    """What the step from 10 to 100 % helps most, as a title."""
    gained = {n: results.difference(WHOLE, TENTH, "clips", [n]) for n in dimensions}
    if not gained:
        return "No temporal question was asked"
    name = max(gained, key=lambda one: gained[one].mean)
    if gained[name].mean <= 0:
        return "No temporal dimension gains from 10 to 100 %"
    if not verdicts.apart(gained, name):
        return (
            "From 10 to 100 % no temporal dimension is seen to gain more than all others: "
            f"{verdicts.extent(gained)}"
        )
    return f"From 10 to 100 %, {name} gains most: {verdicts.short(gained[name])} points"


REPORT = Report(
    title="How many videos are needed",
    asks="Is a tenth of the usual video data enough, because an image model knows most already?",
    how=(
        "The image model is extended by S3-IV with a part of the videos, at the same number of "
        "steps and with the same pictures; a smaller part is inside every larger one. 0 % trains "
        "on the pictures alone."
    ),
    findings=findings,
    pictures=[Picture("amount.png", "Accuracy over the number of clips, 95 %.", by_amount)],
)
