"""`keep`: what keeping K of N tokens costs in accuracy, and saves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fewvid.studies import figures
from fewvid.studies.reports.report import Picture, Report, points, ratio_verdict
from fewvid.studies.results import Results

PARTS = ("encoder", "sampler", "adapter", "decoder")
SHARE = 8  # K = N / 8 is the claim's K
QUALITY, CHEAPER = 0.98, 4.0


def _order(results: Results) -> list[str]:
    """Cells from the smallest K to all tokens."""
    return sorted(results.cells, key=lambda name: results.config(name)["keep"])


def findings(results: Results) -> Sequence[str]:
    """Whether K = N / 8 keeps 98 % of the accuracy at a quarter of the decoder's prefill."""
    cells = _order(results)
    full = cells[-1]
    tokens = results.config(full)["keep"]
    few = min(cells, key=lambda name: abs(results.config(name)["keep"] - tokens // SHARE))
    keep = results.config(few)["keep"]
    lines = []
    for kind in ("temporal", "static"):
        with_all, with_few = (results.estimate(c, "clips", kind) for c in (full, few))
        claim = f"K = {keep} of {tokens} keeps {QUALITY:.0%} of the accuracy on {kind} questions"
        lines.append(
            ratio_verdict(claim, with_few.mean / with_all.mean, QUALITY)
            + f" {with_few} against {with_all} %; "
            + points(results.difference(few, full, "clips", kind))
            + "."
        )
    costs = results.values["costs"]
    for what, unit in (("flops", "operations"), ("seconds", "time measured")):
        ratio = costs[full][what]["decoder"] / costs[few][what]["decoder"]
        claim = f"the decoder's prefill of a clip is {CHEAPER:g} times cheaper ({unit})"
        lines.append(ratio_verdict(claim, ratio, CHEAPER, " x"))
    whole = [sum(costs[c]["seconds"][part] for part in PARTS) for c in (full, few)]
    lines.append(
        f"The whole of a clip, from pixels to the first logits, takes {1e3 * whole[1]:.2f} ms "
        f"instead of {1e3 * whole[0]:.2f} ({whole[0] / whole[1]:.1f} times less)."
    )
    return lines


def by_dimension(results: Results, file: Path) -> None:
    """Accuracy over K, means on the left, temporal dimensions on the right."""
    cells = _order(results)
    keeps = [results.config(name)["keep"] for name in cells]
    with figures.figure(file, 2, width=5.4, share_y=True) as (means, dimensions):
        for colour, (label, exam, kind) in enumerate(REPORT.columns):
            found = [results.estimate(name, exam, kind) for name in cells]
            figures.line(means, keeps, found, label, colour)
        figures.level(means, results.chance("clips", "temporal"), "chance, temporal")
        for colour, name in enumerate(results.dimensions("clips", "temporal")):
            found = [results.estimate(cell, "clips", [name]) for cell in cells]
            figures.line(dimensions, keeps, found, name, colour)
        for axes in (means, dimensions):
            figures.powers(axes, keeps, "K, tokens kept of each frame")
            axes.legend(fontsize=8)
        figures.percent(means, "questions answered rightly")
        means.set_title(f"Few of {keeps[-1]} tokens answer nearly as well")
        dimensions.set_title("Temporal questions, by dimension")


def costs_by_part(results: Results, file: Path) -> None:
    """Where the operations and the time go."""
    cells = _order(results)
    keeps = [str(results.config(name)["keep"]) for name in cells]
    costs = results.values["costs"]
    with figures.figure(file, 2, width=5.4) as axes:
        for at, what, unit, scale in (
            (axes[0], "flops", "GFLOP a clip", 1e9),
            (axes[1], "seconds", "ms a clip", 1e-3),
        ):
            below = [0.0] * len(cells)
            for colour, part in enumerate(PARTS):
                sizes = [costs[name][what][part] / scale for name in cells]
                at.bar(keeps, sizes, 0.65, below, label=part, color=figures.COLOURS[colour])
                below = [low + size for low, size in zip(below, sizes, strict=True)]
            at.set_xlabel("K, tokens kept of each frame")
            at.set_ylabel(unit)
            at.grid(axis="x", visible=False)
        axes[0].legend(fontsize=8)
        axes[0].set_title("Operations: the decoder's shrink with K")
        axes[1].set_title(f"Time on {results.values['device']}")


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
        Picture("costs.png", "Cost of one question about a clip, by part.", costs_by_part),
    ],
)
