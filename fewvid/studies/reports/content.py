"""`content`: on which clips the sampler loses most."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fewvid.studies import figures, marks
from fewvid.studies.reports import late, verdicts
from fewvid.studies.reports.report import Picture, Report
from fewvid.studies.results import Estimate, Results

PAPER, RANDOM = "attention", "random"
EXAMS = {
    "clips": "clips of all kinds",
    "still": "no motion",
    "slow": "slow motion",
    "fast": "fast motion",
    "clutter": "12 distractors",
    "small": "small things",
    "large": "large things",
}


def _cells(results: Results) -> tuple[str, str, str]:
    """The cells of attention, of random, and of all tokens."""
    full = max(results.cells, key=lambda name: results.config(name)["keep"])
    by_sampler = {results.config(name)["sampler"]: name for name in results.cells if name != full}
    return by_sampler[PAPER], by_sampler[RANDOM], full


def _differences(results: Results, cell: str, other: str, kind: str) -> dict[str, Estimate]:
    """By what the clips of an exam are like, where it asks such questions."""
    return {
        shown: results.difference(cell, other, exam, kind)
        for exam, shown in EXAMS.items()
        if results.dimensions(exam, kind)
    }


def findings(results: Results) -> Sequence[str]:
    """Where attention loses most, and whether it is above random there."""
    attention, random, full = _cells(results)
    keep, lines = results.config(attention)["keep"], []
    missing = late.unlearnt(results, [full], "clips")
    if missing:
        lines.append(
            f"The model of all tokens has not learnt {' and '.join(missing)} (at chance), the one "
            f"of K = {keep} has: on temporal questions every kind of clips stands above all tokens "
            "partly for that, and only how they differ from each other says something."
        )
    for kind in results.kinds("clips"):
        lost = _differences(results, attention, full, kind)
        worst = min(lost, key=lambda exam: lost[exam].mean)
        best = max(lost, key=lambda exam: lost[exam].mean)
        below = [exam for exam in lost if lost[exam].high < 0]
        lines.append(
            f"On {kind} questions K = {keep} by attention does worst with {worst}: "
            f"{verdicts.points(lost[worst])} against all tokens, and best with {best}: "
            f"{verdicts.points(lost[best])}"
            + ("" if verdicts.apart(lost, worst) else ", which the intervals do not tell apart")
            + f". It is seen below all tokens on {len(below)} of "
            f"{len(lost)} kinds of clips ({', '.join(below) or 'none'})."
        )
        gained = _differences(results, attention, random, kind)
        claim = f"with {worst}, where it does worst, attention beats random on {kind} questions"
        lines.append(verdicts.gain(claim, gained[worst]))
        above = [exam for exam in gained if gained[exam].low > 0]
        lines.append(
            f"On {kind} questions attention is seen above random on {len(above)} of {len(gained)} "
            f"kinds of clips ({', '.join(above) or 'none'})."
        )
    return lines


def _loses_most(lost: dict[str, Estimate], kind: str) -> str:
    """Where attention loses most, as a title."""
    worst = min(lost, key=lambda exam: lost[exam].mean)
    if lost[worst].mean >= 0:
        return f"On {kind} questions attention loses nothing on any kind of clips"
    if verdicts.apart(lost, worst):
        return (
            f"On {kind} questions attention loses most with {worst}: "
            f"{verdicts.short(lost[worst])} points"
        )
    return (
        f"On {kind} questions no kind of clips is seen to lose more than all others: "
        f"{verdicts.extent(lost)}"
    )


def lost(results: Results, file: Path) -> None:
    """Attention and random, each less all tokens, by kind of clip."""
    attention, random, full = _cells(results)
    kinds = results.kinds("clips")
    with figures.figure(file, len(kinds), width=5.4, height=4.4) as panels:
        for axes, kind in zip(panels, kinds, strict=True):
            found = [_differences(results, cell, full, kind) for cell in (attention, random)]
            exams = list(found[0])
            groups = [
                (cell, [of_exams[exam] for exam in exams])
                for cell, of_exams in zip((attention, random), found, strict=True)
            ]
            marks.differences(axes, exams, groups, f"points against all tokens, {kind} questions")
            axes.set_title(_loses_most(found[0], kind))
        figures.shared_legend(panels[0])


def above_random(results: Results, file: Path) -> None:
    """Attention less random by kind of clip."""
    attention, random, _ = _cells(results)
    kinds = results.kinds("clips")
    with figures.figure(file, len(kinds), width=5.4, height=3.8) as panels:
        for axes, kind in zip(panels, kinds, strict=True):
            found = _differences(results, attention, random, kind)
            label = f"points above random, {kind} questions"
            marks.differences(axes, list(found), [("_", list(found.values()))], label)
            above = sum(one.low > 0 for one in found.values())
            axes.set_title(
                f"On {kind} questions attention is seen above random for {above} of {len(found)} "
                "kinds of clips"
            )


REPORT = Report(
    title="Where the sampler fails",
    asks="Does the sampler lose more with much motion, with clutter, or with small things?",
    how=(
        "Models trained on clips of all kinds (S3-IV) with attention, with random choice at the "
        "same K and with all tokens, each asked about clips of one kind: with little motion or "
        "much, with twelve distractors, with small or large things. A kind of clips may ask "
        "fewer kinds of questions than another: compare along a row, not down a column."
    ),
    findings=findings,
    pictures=[
        Picture("lost.png", "What K tokens lose against all of them; 95 % intervals.", lost),
        Picture("above_random.png", "Attention less random; 95 % intervals.", above_random),
    ],
    columns=tuple(
        (f"{shown}: {kind}", exam, kind)
        for exam, shown in EXAMS.items()
        for kind in ("temporal", "static")
    ),
)
