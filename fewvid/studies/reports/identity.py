"""`identity`: whether keeping every token is the model without a sampler, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes

from fewvid.studies import figures, marks
from fewvid.studies.reports.report import Picture, Report
from fewvid.studies.results import Results

LARGEST, CHANGED = "largest", "changed"


def _measured(results: Results, what: str) -> dict[str, dict[int, float]]:
    """By sampler and K: the largest difference of logits, or the share of changed answers."""
    return {
        name: {int(keep): float(one[what]) for keep, one in found["K"].items()}
        for name, found in results.values["identity"].items()
    }


def _keeps(results: Results) -> list[int]:
    """The Ks, from all tokens down."""
    return sorted(next(iter(_measured(results, LARGEST).values())), reverse=True)


def _unequal(results: Results) -> list[str]:
    """Samplers that do not leave the model alone at K = N."""
    tokens = _keeps(results)[0]
    largest, changed = (_measured(results, what) for what in (LARGEST, CHANGED))
    return [name for name in largest if largest[name][tokens] or changed[name][tokens]]


def findings(results: Results) -> Sequence[str]:
    """Whether K = N is the baseline, and that smaller K are not, so that the check sees."""
    largest, changed = (_measured(results, what) for what in (LARGEST, CHANGED))
    tokens, *fewer = _keeps(results)
    wrong = _unequal(results)
    if wrong:
        named = ", ".join(f"{name} (by {largest[name][tokens]:.2g})" for name in wrong)
        lines = [f"**Does not hold**: K = N = {tokens} equals the baseline exactly. Not: {named}."]
    else:
        lines = [
            f"**Holds**: K = N = {tokens} equals the baseline exactly. The largest difference of "
            f"a logit is 0 and 0 answers change, for all {len(largest)} samplers."
        ]
    for keep in fewer:
        sizes = [one[keep] for one in largest.values()]
        shares = [one[keep] for one in changed.values()]
        lines.append(
            f"With K = {keep} the largest difference is {min(sizes):.2g} to {max(sizes):.2g} and "
            f"{100 * min(shares):.1f} to {100 * max(shares):.1f} % of the answers change, on the "
            "image model that no sampler was trained with"
            + (": the comparison does see a sampler." if min(sizes) > 0 else ".")
        )
    return lines


def differences(results: Results, file: Path) -> None:
    """Largest differences of logits on the left, changed answers on the right."""
    largest, changed = (_measured(results, what) for what in (LARGEST, CHANGED))
    names, keeps = list(largest), _keeps(results)
    with figures.figure(file, 2, width=5.6, height=4.8) as (sizes, answers):
        for axes, found in ((sizes, largest), (answers, changed)):
            groups = [
                (f"K = {keep}" + " = N" * (keep == keeps[0]), [found[n][keep] for n in names])
                for keep in keeps
            ]
            marks.plain(axes, names, groups)
        _log_with_zero(sizes, [v for one in largest.values() for v in one.values()])
        sizes.set_xlabel("largest difference of a logit to no sampler")
        figures.percent(answers, "answers that changed", "x")
        answers.set_yticklabels([])
        wrong = _unequal(results)
        sizes.set_title(
            f"K = N = {keeps[0]} is not the baseline for {len(wrong)} of {len(names)} samplers"
            if wrong
            else f"K = N = {keeps[0]} is exactly the baseline for all {len(names)} samplers"
        )
        few = [changed[name][keeps[-1]] for name in names]
        answers.set_title(
            f"K = {keeps[-1]} changes {100 * min(few):.1f} to {100 * max(few):.1f} % of the answers"
        )
        figures.shared_legend(sizes)


def _log_with_zero(axes: Axes, values: Sequence[float]) -> None:
    """A logarithmic x axis which a stretch from 0 to below the smallest value begins."""
    above = [value for value in values if value > 0] or [1e-3]
    first = 10.0 ** math.floor(math.log10(min(above)))
    axes.set_xscale("symlog", linthresh=first, linscale=0.6)
    axes.set_xlim(-0.25 * first, 3 * max(above))
    axes.axvspan(-0.25 * first, first, color="#f3f3f3", zorder=0)
    powers = range(round(math.log10(first)), math.ceil(math.log10(3 * max(above))))
    axes.set_xticks([0, *(10.0**p for p in powers)], ["0", *(f"$10^{{{p}}}$" for p in powers)])
    axes.minorticks_off()


REPORT = Report(
    title="K = N is the model without a sampler",
    asks="Is keeping all N tokens of a frame exactly the baseline?",
    how=(
        "The image model answers the same questions without a sampler and with each of them, "
        "nothing being trained. The differences are between the logits of the answers."
    ),
    findings=findings,
    pictures=[
        Picture(
            "differences.png",
            "What each sampler changes at K = N, N / 2 and N / 8; 0 is exactly 0.",
            differences,
        )
    ],
)
