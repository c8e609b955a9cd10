"""`transfer`: what is known of another look, of longer clips and of questions never trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fewvid.studies import figures, marks
from fewvid.studies.reports import verdicts
from fewvid.studies.reports.report import Picture, Report
from fewvid.studies.results import Estimate, Results

HOME = "clips"
AWAY = ("another look", "longer")
PICTURES = ("pictures", "pictures, another look")


def _cells(results: Results) -> tuple[str, str, str]:
    """The image model, the one trained on all questions, and the one not trained on some."""
    configs = {name: results.config(name) for name in results.cells}
    start = next(name for name, c in configs.items() if c["strategy"] == "none")
    trained = [name for name in configs if name != start]
    whole, less = sorted(trained, key=lambda name: len(configs[name]["without"]))
    return start, whole, less


def _unseen(results: Results) -> list[str]:
    """The dimensions that the last cell was never trained on, of those that were asked."""
    without = results.config(_cells(results)[2])["without"]
    return [name for name in results.dimensions(HOME) if name in without]


def _above_chance(results: Results, cell: str, of: str | Sequence[str], exam: str) -> Estimate:
    found = results.estimate(cell, exam, of)
    return Estimate(found.mean - results.chance(exam, of), found.half)


def findings(results: Results) -> Sequence[str]:
    """What carries over to each exam away from home, and to questions never trained on."""
    start, trained, less = _cells(results)
    kind, *_ = results.kinds(HOME)
    lines = []
    for exam in AWAY:
        gained = results.difference(trained, start, exam, kind)
        claim = f"“{exam}”: training on videos helps on {kind} questions"
        home = results.difference(trained, start, HOME, kind)
        share = f", {100 * gained.mean / home.mean:.0f} % of it" if home.low > 0 else ""
        lines.append(
            verdicts.gain(claim, gained) + f" {results.estimate(trained, exam, kind)} against "
            f"{results.estimate(start, exam, kind)} %, chance "
            f"{100 * results.chance(exam, kind):.1f} %; the gain on the clips of the training's "
            f"kind is {verdicts.points(home)}{share.replace('of it', 'of which is kept')}."
        )
    for exam in PICTURES:
        change = results.difference(trained, start, exam, "static")
        lines.append(
            f"“{exam}”: {results.estimate(trained, exam, 'static')} % after training on videos, "
            f"{verdicts.points(change)} against the image model."
        )
    for name in _unseen(results):
        gained = results.difference(less, start, HOME, [name])
        claim = f"training on other questions helps on {name}, which was never trained on"
        lines.append(
            verdicts.gain(claim, gained)
            + f" {verdicts.points(_above_chance(results, less, [name], HOME))} against chance; "
            "training on it too adds "
            f"{verdicts.points(results.difference(trained, less, HOME, [name]))}."
        )
    return lines


def by_exam(results: Results, file: Path) -> None:
    """The image model and the trained one in each exam: one kind of questions a panel."""
    start, trained, _ = _cells(results)
    kinds = results.kinds(HOME)
    with figures.figure(file, len(kinds), width=5.8, height=4.4) as panels:
        for axes, kind in zip(panels, kinds, strict=True):
            exams = [HOME, *AWAY] if kind == "temporal" else [HOME, *AWAY, *PICTURES]
            names = [exam.replace(", ", ",\n") for exam in exams]
            groups = [
                (cell, [results.estimate(cell, exam, kind) for exam in exams])
                for cell in (start, trained)
            ]
            marks.bars(axes, names, groups)
            axes.tick_params(axis="x", labelsize=9)
            for place, exam in enumerate(exams):
                marks.chance(axes, place, results.chance(exam, kind))
            figures.percent(axes, f"{kind} questions answered rightly")
            gains = [
                f"{verdicts.short(results.difference(trained, start, exam, kind))} on “{exam}”"
                for exam in (HOME, *AWAY)
            ]
            axes.set_title(f"{kind.capitalize()} questions, points gained: {', '.join(gains)}")
        figures.shared_legend(panels[0])


def never_trained_on(results: Results, file: Path) -> None:
    """Dimensions that a model was never trained on, beside one that was."""
    start, trained, less = _cells(results)
    unseen = _unseen(results)
    with figures.figure(file, height=4.2) as (axes,):
        groups = [
            (cell, [results.estimate(cell, HOME, [name]) for name in unseen])
            for cell in (start, less, trained)
        ]
        marks.bars(axes, unseen, groups)
        for place, name in enumerate(unseen):
            marks.chance(axes, place, results.chance(HOME, [name]))
        figures.percent(axes, "questions answered rightly")
        gains = [
            f"{verdicts.short(results.difference(less, start, HOME, [name]))} on {name}"
            for name in unseen
        ]
        axes.set_title(
            f"Never trained on, points above the image model: {', '.join(gains)}"
            if gains
            else "No question was asked that was never trained on"
        )
        figures.shared_legend(axes, 2)


REPORT = Report(
    title="What carries over",
    asks="Does what was learned on videos hold with another look, longer clips, other questions?",
    how=(
        "The image model, and S3-IV trained on clips of 8 frames of the world's first look, with "
        "and without two types of questions, are asked about clips of another renderer, clips of "
        "twice as many frames, and the two types."
    ),
    findings=findings,
    pictures=[
        Picture("by_exam.png", "Before and after training on videos; 95 % intervals.", by_exam),
        Picture(
            "never_trained_on.png",
            "Types of questions that were left out of a training; 95 % intervals.",
            never_trained_on,
        ),
    ],
    columns=(
        *((f"{exam}: {of}", exam, of) for exam in (HOME, *AWAY) for of in ("temporal", "static")),
        *((exam, exam, "static") for exam in PICTURES),
    ),
)
