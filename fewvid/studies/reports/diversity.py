"""`diversity`: how many kinds of scenes and of questions are needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fewvid.data.shapes.questions import CHANCE
from fewvid.data.shapes.scene import COLOURS, FORMS
from fewvid.studies import figures, marks
from fewvid.studies.reports import verdicts
from fewvid.studies.reports.report import Picture, Report
from fewvid.studies.results import Results

KINDS = {"": "all questions", "temporal": "temporal", "static": "static"}


def _scenes(results: Results, cell: str) -> int:
    """How many kinds of things there are, of a form and a colour."""
    variant = results.config(cell)["variant"]
    return len(variant.get("forms", FORMS)) * len(variant.get("colours", COLOURS))


def _questions(results: Results, cell: str) -> int:
    """How many types of questions are trained on."""
    return len(CHANCE) - len(results.config(cell)["without"])


def _series(results: Results) -> dict[str, tuple[list[int], list[str]]]:
    """By what is made fewer: how many there are, and the cells, from few to all."""
    cells = list(results.cells)
    fewer_scenes = [name for name in cells if _questions(results, name) == len(CHANCE)]
    most = max(_scenes(results, name) for name in cells)
    fewer_questions = [name for name in cells if _scenes(results, name) == most]
    found = {}
    for what, count, own in (
        ("kinds of things", _scenes, fewer_scenes),
        ("types of questions", _questions, fewer_questions),
    ):
        own = sorted(own, key=lambda name: count(results, name))
        found[what] = ([count(results, name) for name in own], own)
    return found


def findings(results: Results) -> Sequence[str]:
    """Where more kinds no longer help, and what fewer cost."""
    lines = []
    for what, (counts, cells) in _series(results).items():
        full = cells[-1]
        for of in ("", *results.kinds("clips")):
            first = verdicts.enough(results, cells, "clips", of)
            asked = f"{KINDS[of]} questions" if of else KINDS[of]
            lost = results.difference(cells[0], full, "clips", of)
            lines.append(
                f"On {asked}, {counts[0]} instead of {counts[-1]} {what} change "
                f"{verdicts.points(lost)} "
                f"({results.estimate(cells[0], 'clips', of)} against "
                f"{results.estimate(full, 'clips', of)} %); "
                f"{verdicts.helps(counts[cells.index(first)], counts)}."
            )
    lines += _left_out(results)
    return lines


def _left_out(results: Results) -> list[str]:
    """Whether what fewer types of questions cost is in those left out alone."""
    _, cells = _series(results)["types of questions"]
    few, full = cells[0], cells[-1]
    without = results.config(few)["without"]
    parts = []
    for label, own in (("left out", True), ("still trained on", False)):
        names = [n for n in results.dimensions("clips") if (n in without) == own]
        change = verdicts.points(results.difference(few, full, "clips", names))
        parts.append(f"{change} on the {len(names)} types {label}")
    return [f"“{few}” against “{full}”: {' and '.join(parts)}."]


def by_count(results: Results, file: Path) -> None:
    """Accuracy over the number of kinds of things, and of types of questions."""
    with figures.figure(file, 2, width=5.4, height=4.4, share_y=True) as panels:
        for axes, (what, (counts, cells)) in zip(panels, _series(results).items(), strict=True):
            for colour, (of, label) in enumerate(KINDS.items()):
                found = [results.estimate(cell, "clips", of) for cell in cells]
                marks.line(axes, counts, found, label, colour)
            axes.set_xticks(counts)
            axes.set_xlabel(f"{what} in training")
            lost = results.difference(cells[0], cells[-1], "clips", "")
            first = cells.index(verdicts.enough(results, cells, "clips", ""))
            axes.set_title(
                f"{counts[0]} instead of {counts[-1]} {what}: {verdicts.short(lost)} points on "
                f"all questions; {verdicts.helps(counts[first], counts)}"
            )
        figures.percent(panels[0], "questions answered rightly")
        figures.shared_legend(panels[0])


REPORT = Report(
    title="How diverse the videos must be",
    asks="At the same number of clips, how many kinds of scenes and of questions are needed?",
    how=(
        "A tenth of the clips, as ever, but with fewer forms and colours of things in them, or "
        "with fewer types of questions asked in training. All models sit the same exam, with all "
        "forms, colours and types of questions; pictures of all kinds stand beside the clips."
    ),
    findings=findings,
    pictures=[Picture("diversity.png", "Accuracy in the same exam; 95 % intervals.", by_count)],
    columns=(
        ("all questions", "clips", ""),
        ("temporal", "clips", "temporal"),
        ("static", "clips", "static"),
        ("pictures", "pictures", "static"),
    ),
)
