"""`content`: on which clips the sampler loses most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Three:
    """Names of cells that differ in what is kept alone. full: with all tokens, "" where there is
    none; adapter: its queries, "" for the recipe's.
    """

    attention: str
    random: str
    full: str
    adapter: str

    def on(self, kind: str) -> str:
        """How a sentence on such questions begins."""
        of = f"On {kind} questions"
        return f"With `{self.adapter}`, {of.lower()}" if self.adapter else of


def _cells(results: Results) -> list[Three]:
    """By adapter, the recipe's first."""
    found = []
    for queries in ("", "mlp"):
        mine = {
            name: results.config(name)
            for name in results.cells
            if results.config(name)["adapter"].get("queries", "") == queries
        }
        tokens = max(results.config(name)["keep"] for name in results.cells)
        full = next((name for name, config in mine.items() if config["keep"] == tokens), "")
        by = {config["sampler"]: name for name, config in mine.items() if name != full}
        if by:
            found.append(Three(by[PAPER], by[RANDOM], full, queries))
    return found


def _differences(results: Results, cell: str, other: str, kind: str) -> dict[str, Estimate]:
    """By what the clips of an exam are like, where it asks such questions."""
    return {
        shown: results.difference(cell, other, exam, kind)
        for exam, shown in EXAMS.items()
        if results.dimensions(exam, kind)
    }


def findings(results: Results) -> Sequence[str]:
    """Where attention loses most, and whether it is above random there."""
    lines = []
    for cells in _cells(results):
        keep = results.config(cells.attention)["keep"]
        missing = late.unlearnt(results, [cells.full], "clips") if cells.full else []
        if missing and not late.unlearnt(results, [cells.attention], "clips"):
            lines.append(
                f"{cells.on('temporal')} the model of all tokens has not learnt "
                f"{' and '.join(missing)} (at chance), the one of K = {keep} has: that lifts all "
                "differences from all tokens, and only how they differ from each other says "
                "something."
            )
        for kind in results.kinds("clips"):
            lines += _of_kind(results, cells, kind)
    return lines


def _of_kind(results: Results, cells: Three, kind: str) -> list[str]:
    keep, lines = results.config(cells.attention)["keep"], []
    gained = _differences(results, cells.attention, cells.random, kind)
    worst = min(gained, key=lambda exam: gained[exam].mean)
    if cells.full:
        lost = _differences(results, cells.attention, cells.full, kind)
        worst = min(lost, key=lambda exam: lost[exam].mean)
        best = max(lost, key=lambda exam: lost[exam].mean)
        lines.append(
            f"{cells.on(kind)} K = {keep} by attention does worst with {worst}: "
            f"{verdicts.points(lost[worst])} against all tokens, and best with {best}: "
            f"{verdicts.points(lost[best])}"
            + ("" if verdicts.apart(lost, worst) else ", which the intervals do not tell apart")
            + f". It is seen below all tokens on {_counted(lost, below=True)}."
        )
    claim = f"with {worst}, where it does worst, attention beats random on {kind} questions"
    where = f"with `{cells.adapter}` and {claim.removeprefix('with ')}" if cells.adapter else claim
    lines.append(verdicts.gain(where, gained[worst]))
    lines.append(f"{cells.on(kind)} attention is seen above random on {_counted(gained)}.")
    return lines


def _counted(found: dict[str, Estimate], *, below: bool = False) -> str:
    """On how many kinds of clips a difference is seen, and on which."""
    seen = [exam for exam, one in found.items() if (one.high < 0 if below else one.low > 0)]
    named = "; ".join(f"{exam} {verdicts.points(found[exam])}" for exam in seen) or "none"
    return f"{len(seen)} of {len(found)} kinds of clips ({named})"


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
    """Attention and random, each less all tokens, by kind of clip, for the recipe's adapter."""
    _lost(results, file, _cells(results)[0])


def lost_mlp(results: Results, file: Path) -> None:
    """The same where no token reads another."""
    _lost(results, file, _cells(results)[1])


def _lost(results: Results, file: Path, cells: Three) -> None:
    kinds = results.kinds("clips")
    names = (cells.attention, cells.random)
    with figures.figure(file, len(kinds), width=5.4, height=4.4) as panels:
        for axes, kind in zip(panels, kinds, strict=True):
            found = [_differences(results, cell, cells.full, kind) for cell in names]
            exams = list(found[0])
            groups = [
                (cell, [of_exams[exam] for exam in exams])
                for cell, of_exams in zip(names, found, strict=True)
            ]
            marks.differences(axes, exams, groups, f"points against all tokens, {kind} questions")
            axes.set_title(_loses_most(found[0], kind))
        figures.shared_legend(panels[0])


def above_random(results: Results, file: Path) -> None:
    """Attention less random by kind of clip, for each adapter."""
    kinds, adapters = results.kinds("clips"), _cells(results)
    with figures.figure(file, len(kinds), width=5.4, height=4.4) as panels:
        for axes, kind in zip(panels, kinds, strict=True):
            found = {
                cells.attention: _differences(results, cells.attention, cells.random, kind)
                for cells in adapters
            }
            exams = list(found[adapters[0].attention])
            groups = [(name, [of[exam] for exam in exams]) for name, of in found.items()]
            marks.differences(axes, exams, groups, f"points above random, {kind} questions")
            seen = [sum(one.low > 0 for one in of.values()) for of in found.values()]
            title = (
                f"{kind.capitalize()}: above random for {seen[0]} of {len(exams)} kinds of clips"
            )
            axes.set_title(title + "".join(f", for {many} with mlp" for many in seen[1:]))
        figures.shared_legend(panels[0])


REPORT = Report(
    title="Where the sampler fails",
    asks="Does the sampler lose more with much motion, with clutter, or with small things?",
    how=(
        "Models trained on clips of all kinds (S3-IV) with attention, with random choice at the "
        "same K and with all tokens, each asked about clips of one kind: with little motion or "
        "much, with twelve distractors, with small or large things. So for the recipe's adapter, "
        "whose queries read the whole frame, and for one that hides what is dropped (`mlp`: no "
        "token reads another; it begins anew and learns on pictures first; the response is the "
        "encoder's). A kind of clips may ask fewer kinds of questions than another: compare along "
        "a row, not down a column."
    ),
    findings=findings,
    pictures=[
        Picture("lost.png", "What K tokens lose against all of them; 95 % intervals.", lost),
        Picture(
            "lost_mlp.png",
            "The same with an adapter of which no token reads another.",
            lost_mlp,
            lambda results: len(_cells(results)) > 1 and bool(_cells(results)[1].full),
        ),
        Picture("above_random.png", "Attention less random; 95 % intervals.", above_random),
    ],
    columns=tuple(
        (f"{shown}: {kind}", exam, kind)
        for exam, shown in EXAMS.items()
        for kind in ("temporal", "static")
    ),
)
