"""`samplers`: every strategy against random choice, trained with it and only applied."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fewvid.studies import figures, marks
from fewvid.studies.reports import coverage, dropped, late, longer, verdicts
from fewvid.studies.reports.report import Picture, Report
from fewvid.studies.results import Estimate, Results

RANDOM, PAPER = "random", "attention"
QUALITY = 0.98


def _full(results: Results) -> str:
    """The cell that keeps all tokens."""
    return max(results.cells, key=lambda name: results.config(name)["keep"])


def _keeps(results: Results) -> list[int]:
    full = _full(results)
    return sorted({results.config(name)["keep"] for name in results.cells if name != full})


def _cells(results: Results, keep: int, *, applied: bool) -> dict[str, str]:
    """By sampler: the cell of that K, trained with it or only applied."""
    return {
        results.config(name)["sampler"]: name
        for name in results.cells
        if not results.config(name)["steps"]
        and results.config(name)["keep"] == keep
        and bool(results.config(name)["of"]) == applied
    }


def _against_random(
    results: Results, keep: int, kind: str, *, applied: bool
) -> dict[str, Estimate]:
    """Of each sampler but random, with intervals that hold for all of them at once."""
    cells = _cells(results, keep, applied=applied)
    gained = results.against(cells[RANDOM], cells.values(), "clips", kind)
    return {name: gained[cell] for name, cell in cells.items() if name != RANDOM}


def _best(results: Results, keep: int, of: str) -> str:
    """The sampler with the highest accuracy of those trained with."""
    cells = _cells(results, keep, applied=False)
    return max(cells, key=lambda name: results.estimate(cells[name], "clips", of).mean)


def findings(results: Results) -> Sequence[str]:
    """Whether attention beats random, which is best, and whether that is nearly all tokens."""
    full = _full(results)
    tokens = results.config(full)["keep"]
    lines = []
    for keep in _keeps(results):
        cells = _cells(results, keep, applied=False)
        for kind in results.kinds("clips"):
            best = _best(results, keep, kind)
            claim = (
                f"at K = {keep} = N / {tokens / keep:g} the best sampler, {best}, keeps the "
                f"accuracy on {kind} questions"
            )
            ratio = results.ratio(cells[best], full, "clips", kind)
            lines.append(
                verdicts.kept(claim, ratio, QUALITY)
                + f" {results.estimate(cells[best], 'clips', kind)} against "
                f"{results.estimate(full, 'clips', kind)} %."
            )
    for keep in _keeps(results):
        for applied, how in ((False, "trained with"), (True, "only applied")):
            for kind in results.kinds("clips"):
                gained = _against_random(results, keep, kind, applied=applied)[PAPER]
                claim = f"at K = {keep}, {how}, attention beats random on {kind} questions"
                lines.append(verdicts.gain(claim, gained))
    trained = {keep: _cells(results, keep, applied=False) for keep in _keeps(results)}
    lines += [*dropped.findings(results), *coverage.findings(results, trained)]
    for keep in _keeps(results):
        lines += [_beaten(results, keep, applied=False), *_without_late(results, keep)]
        lines += [_beaten(results, keep, applied=True), _trained(results, keep)]
        lines += _longer(results, keep)
    return lines


def _without_late(results: Results, keep: int) -> list[str]:
    """Who is above and below random on temporal questions but for those that are learnt late."""
    soon = late.soon(results, "clips", "temporal")
    if not soon:
        return []
    cells = _cells(results, keep, applied=False)
    gained = results.against(cells[RANDOM], cells.values(), "clips", soon)
    named = {name: gained[cell] for name, cell in cells.items() if name != RANDOM}
    above = [f"{name} {verdicts.points(one)}" for name, one in named.items() if one.low > 0]
    below = [f"{name} {verdicts.points(one)}" for name, one in named.items() if one.high < 0]
    return [
        f"At K = {keep}, trained with, on temporal questions {late.WITHOUT}: {PAPER} is "
        f"{verdicts.points(named[PAPER])} from random; above it are {_listed(above)}; below it "
        f"{_listed(below)}."
    ]


def _longer(results: Results, keep: int) -> list[str]:
    """What is left of the difference between attention and random with twice the steps."""
    cells = _cells(results, keep, applied=False)
    both = [longer.twice(results, cells[name]) for name in (PAPER, RANDOM)]
    if None in both:
        return []
    lines = longer.gained(results, [cells[PAPER], cells[RANDOM]])
    for kind in results.kinds("clips"):
        gained = results.difference(both[0] or "", both[1] or "", "clips", kind)
        claim = (
            f"at K = {keep}, trained with for twice the steps, attention beats random on {kind} "
            "questions"
        )
        lines.append(verdicts.gain(claim, gained))
    return lines


def _beaten(results: Results, keep: int, *, applied: bool) -> str:
    """Which samplers are seen to be above random, in words."""
    cells, parts = _cells(results, keep, applied=applied), []
    exams = [(f"{kind} questions", "clips", kind) for kind in results.kinds("clips")]
    for what, exam, kind in [*exams, ("pictures", "pictures", "static")]:
        against = results.against(cells[RANDOM], cells.values(), exam, kind)
        gained = {name: against[cell] for name, cell in cells.items() if name != RANDOM}
        above = [name for name in gained if gained[name].low > 0]
        parts.append(f"{len(above)} of {len(gained)} on {what} ({_listed(above)})")
    how = "only applied" if applied else "trained with"
    return f"At K = {keep}, {how}, these are above random: {'; '.join(parts)}."


def _trained(results: Results, keep: int) -> str:
    """What training with the sampler adds, in words."""
    trained, applied = (_cells(results, keep, applied=how) for how in (False, True))
    gained = {
        name: results.difference(trained[name], applied[name], "clips", "")
        for name in trained
        if name in applied
    }
    least, most = (choose(gained, key=lambda n: gained[n].mean) for choose in (min, max))
    return (
        f"At K = {keep} training with the sampler, instead of applying it to the model of all "
        f"tokens, adds {verdicts.points(gained[least])} ({least}) to "
        f"{verdicts.points(gained[most])} ({most}) on all questions."
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def against_random(results: Results, file: Path) -> None:
    """Accuracy less that of random choice at the same K, trained with the sampler."""
    keeps, kinds = _keeps(results), results.kinds("clips")
    with figures.figure(file, len(kinds), width=5.6, height=4.8) as panels:
        for axes, kind in zip(panels, kinds, strict=True):
            gained = {k: _against_random(results, k, kind, applied=False) for k in keeps}
            names = list(gained[keeps[0]])
            groups = [(f"K = {keep}", [gained[keep][n] for n in names]) for keep in keeps]
            marks.differences(axes, names, groups, f"points above random, {kind} questions")
            parts = [f"{verdicts.short(gained[keep][PAPER])} at K = {keep}" for keep in keeps]
            axes.set_title(f"Attention less random, {kind} questions: {', '.join(parts)}")
        for axes in panels[1:]:
            axes.set_yticklabels([])
        figures.shared_legend(panels[0])


def trained_or_applied(results: Results, file: Path) -> None:
    """Accuracy on all questions for each sampler, a panel a K."""
    keeps, full = _keeps(results), _full(results)
    names = list(_cells(results, keeps[0], applied=False))
    all_tokens = results.estimate(full, "clips", "")
    with figures.figure(file, len(keeps), width=5.6, height=4.8) as panels:
        for axes, keep in zip(panels, keeps, strict=True):
            groups = []
            for label, applied in (("trained with", False), ("only applied", True)):
                cells = _cells(results, keep, applied=applied)
                found = [results.estimate(cells[name], "clips", "") for name in names]
                groups.append((label, found))
            marks.shares(axes, names, groups)
            marks.upright(axes, all_tokens.mean, "all tokens")
            best = _best(results, keep, "")
            cell = _cells(results, keep, applied=False)[best]
            ratio = results.ratio(cell, full, "clips", "")
            axes.set_title(
                f"K = {keep}: the best, {best}, keeps {ratio} % of the accuracy with all tokens"
            )
        for axes in panels:
            figures.percent(axes, "questions answered rightly", "x")
        limits = [axes.get_xlim() for axes in panels]
        for axes in panels:
            axes.set_xlim(min(low for low, _ in limits), max(high for _, high in limits))
        for axes in panels[1:]:
            axes.set_yticklabels([])
        figures.shared_legend(panels[0])


REPORT = Report(
    title="Which tokens to keep",
    asks="Does attention pick the informative tokens, or would random ones do?",
    how=(
        "Every sampler at the same K: once at work in training and exam alike, once only applied "
        "in the exam to the model that was trained with all tokens. Intervals of differences from "
        "random hold for all samplers at once (Dunnett 1955). `dpp_text` is trained on all of a "
        "row's questions together and examined with one at a time. The best is picked among all by "
        "the very questions that it is judged by, which flatters it a little."
    ),
    findings=findings,
    pictures=[
        Picture(
            "against_random.png",
            "Each sampler less random choice at the same K, both trained with; 95 % intervals, "
            "for all samplers at once.",
            against_random,
        ),
        Picture(
            "trained_or_applied.png",
            "All questions about clips; 95 % intervals.",
            trained_or_applied,
        ),
        Picture(
            "missed_and_right.png",
            "What is left out of the scene, and what is answered: every sampler but pool, which "
            "averages all tokens; things of clips, measured with the image model; 95 % intervals.",
            coverage.missed_and_right,
        ),
        Picture(
            "dropped.png",
            "The image model's adapter and decoder trained on pictures, by how the adapter reads "
            "and by what is kept; 95 % intervals.",
            dropped.by_adapter,
        ),
    ],
)
