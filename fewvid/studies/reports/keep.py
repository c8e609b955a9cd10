"""`keep`: what keeping K of N tokens costs in accuracy, and saves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fewvid.studies import figures, marks
from fewvid.studies.reports import late, longer, parts, verdicts
from fewvid.studies.reports.report import Picture, Report
from fewvid.studies.results import Results

SHARE = 8  # K = N / 8 is the claim's K
QUALITY, CHEAPER = 0.98, 4.0


def _order(results: Results) -> list[str]:
    """Cells from the smallest K to all tokens."""
    return sorted(longer.usual(results), key=lambda name: results.config(name)["keep"])


def _compared(results: Results) -> tuple[str, str, int, int]:
    """The cells of K = N / 8 and of all tokens, K and N."""
    cells = _order(results)
    tokens = results.config(cells[-1])["keep"]
    few = min(cells, key=lambda name: abs(results.config(name)["keep"] - tokens / SHARE))
    return few, cells[-1], results.config(few)["keep"], tokens


def findings(results: Results) -> Sequence[str]:
    """Whether K = N / 8 keeps 98 % of the accuracy at a quarter of the decoder's prefill."""
    few, full, keep, tokens = _compared(results)
    lines = []
    for kind in results.kinds("clips"):
        with_all, with_few = (results.estimate(cell, "clips", kind) for cell in (full, few))
        claim = f"K = {keep} of {tokens} keeps the accuracy on {kind} questions"
        lines.append(
            verdicts.kept(claim, results.ratio(few, full, "clips", kind), QUALITY)
            + f" {with_few} against {with_all} %, "
            + verdicts.points(results.difference(few, full, "clips", kind))
            + "."
        )
    soon = late.soon(results, "clips", "temporal")
    if soon:
        claim = f"K = {keep} of {tokens} keeps the accuracy on temporal questions {late.WITHOUT}"
        lines.append(verdicts.kept(claim, results.ratio(few, full, "clips", soon), QUALITY))
    for what, less in (("flops", "fewer operations"), ("seconds", "less time, as measured")):
        claim = f"with K = {keep} the decoder's prefill of a clip takes {less}"
        lines.append(verdicts.times(claim, _saved(results, what, "decoder"), CHEAPER))
    lines.append(
        "The whole of a clip, from pixels to the first logits, takes "
        f"{1e3 * parts.cost(results, few, 'seconds'):.2f} ms instead of "
        f"{1e3 * parts.cost(results, full, 'seconds'):.2f} "
        f"({_saved(results, 'seconds'):.1f} times less)."
    )
    lines += longer.gained(results, [few, full])
    few_longer, full_longer = (longer.twice(results, cell) for cell in (few, full))
    if few_longer and full_longer:
        for kind in results.kinds("clips"):
            claim = f"K = {keep} keeps the accuracy on {kind} questions with twice the steps too"
            ratio = results.ratio(few_longer, full_longer, "clips", kind)
            lines.append(verdicts.kept(claim, ratio, QUALITY))
        if soon:
            claim = f"and {late.WITHOUT}"
            ratio = results.ratio(few_longer, full_longer, "clips", soon)
            lines.append(verdicts.kept(claim, ratio, QUALITY))
    return lines


def _saved(results: Results, what: str, part: str = "") -> float:
    """How many times cheaper K = N / 8 is than all tokens."""
    few, full, _, _ = _compared(results)
    return parts.cost(results, full, what, part) / parts.cost(results, few, what, part)


def by_dimension(results: Results, file: Path) -> None:
    """Accuracy over K, means on the left, temporal dimensions on the right."""
    cells = _order(results)
    few, full, keep, tokens = _compared(results)
    keeps = [results.config(name)["keep"] for name in cells]
    temporal = results.dimensions("clips", "temporal")
    with figures.figure(file, 2, width=5.4, height=4.6, share_y=True) as (means, dimensions):
        for colour, (label, exam, kind) in enumerate(REPORT.columns):
            found = [results.estimate(name, exam, kind) for name in cells]
            marks.line(means, keeps, found, label, colour)
        figures.level(means, results.chance("clips", "temporal"), "chance, temporal")
        for colour, name in enumerate(temporal):
            found = [results.estimate(cell, "clips", [name]) for cell in cells]
            marks.line(dimensions, keeps, found, name, colour)
        for axes in (means, dimensions):
            figures.powers(axes, keeps, "K, tokens kept of each frame")
            figures.legend(axes)
        figures.percent(means, "questions answered rightly")
        ratios = [
            f"{results.ratio(few, full, 'clips', kind)} % of the {kind}"
            for kind in results.kinds("clips")
        ]
        means.set_title(f"K = {keep} of {tokens} keeps {' and '.join(ratios)} accuracy")
        dimensions.set_title(_worst(results, temporal))


def _worst(results: Results, dimensions: Sequence[str]) -> str:
    """What the smaller K loses most, as a title."""
    few, full, keep, tokens = _compared(results)
    lost = {name: results.difference(few, full, "clips", [name]) for name in dimensions}
    if not lost:
        return "No temporal question was asked"
    name = min(lost, key=lambda one: lost[one].mean)
    if lost[name].mean >= 0:
        return f"No temporal dimension is lower with K = {keep} than with {tokens}"
    if not verdicts.apart(lost, name):
        return (
            f"With K = {keep} no temporal dimension is seen to lose more than all others: "
            f"{verdicts.extent(lost)}"
        )
    return f"With K = {keep}, {name} loses most: {verdicts.short(lost[name])} points"


def costs_by_part(results: Results, file: Path) -> None:
    """Where the operations and the time go."""
    cells = _order(results)
    names = [str(results.config(name)["keep"]) for name in cells]
    _, _, keep, _ = _compared(results)
    with figures.figure(file, 2, width=5.0, height=3.6) as axes:
        for at, what, label in zip(axes, parts.UNITS, ("Operations", "Time"), strict=True):
            parts.stacked(at, results, cells, names, what)
            at.set_title(
                f"{label} at K = {keep}: {_saved(results, what, 'decoder'):.1f} times less in the "
                f"decoder, {_saved(results, what):.1f} times in all"
            )
        axes[0].set_ylabel("K, tokens kept of each frame")
        axes[1].set_xlabel(f"ms a clip, on {parts.where(results)}")
        figures.shared_legend(axes[0])


REPORT = Report(
    title="How many tokens of a frame are needed",
    asks="Does keeping K of N tokens cut the cost and keep the quality?",
    how=(
        "The image model is extended to video by S3-IV, once for each K, with the sampler at work "
        "in training and in the exam alike. K = N is the baseline without a sampler."
    ),
    findings=findings,
    pictures=[
        Picture("accuracy.png", "Accuracy over K, with 95 % intervals.", by_dimension),
        Picture(
            "costs.png",
            "Cost of one question about a clip, by part; the times are medians with quartiles.",
            costs_by_part,
        ),
    ],
    dimensions=True,
)
