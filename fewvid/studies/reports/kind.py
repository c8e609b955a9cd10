"""`kind`: whether questions about what changes over time are worth more than others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from fewvid.studies import figures, marks
from fewvid.studies.reports import verdicts
from fewvid.studies.reports.report import Picture, Report
from fewvid.studies.results import Estimate, Results

TEMPORAL, MIXED, STATIC = "temporal", "mixed", "static"
LEAST = 0.10


def _cell(results: Results, kind: str) -> str:
    """The cell trained on that kind of questions."""
    return next(name for name in results.cells if results.config(name)["kind"] == kind)


def findings(results: Results) -> Sequence[str]:
    """Whether temporal data is worth 10 points more than static data, and what it costs."""
    temporal, mixed, static = (_cell(results, kind) for kind in (TEMPORAL, MIXED, STATIC))
    clips = results.config(temporal)["clips"]
    claim = f"{clips:,} clips with temporal questions give more than with static ones, on temporal"
    lines = [
        verdicts.gain(f"{claim} questions", _gained(results, static), LEAST)
        + f" {results.estimate(temporal, 'clips', TEMPORAL)} against "
        f"{results.estimate(static, 'clips', TEMPORAL)} %, where chance is "
        f"{verdicts.share(results.chance('clips', TEMPORAL))} %."
    ]
    lines.append(
        "Temporal questions alone, instead of both kinds, change "
        f"{verdicts.points(_gained(results, mixed))} on temporal questions and "
        f"{verdicts.points(_gained(results, mixed, STATIC))} on static ones."
    )
    lines.append(
        "Temporal instead of static questions change "
        f"{verdicts.points(_gained(results, static, STATIC))} on static questions about clips and "
        f"{verdicts.points(_gained(results, static, STATIC, 'pictures'))} on pictures."
    )
    return lines


def _gained(results: Results, over: str, of: str = TEMPORAL, exam: str = "clips") -> Estimate:
    """Trained on temporal questions less `over`."""
    return results.difference(_cell(results, TEMPORAL), over, exam, of)


def by_kind(results: Results, file: Path) -> None:
    """Accuracy by kind of data on the left, temporal less static data by dimension on the right."""
    kinds = (TEMPORAL, MIXED, STATIC)
    exams = (("clips", TEMPORAL), ("clips", STATIC), ("pictures", STATIC))
    names = [f"{of} questions,\n{exam}" for exam, of in exams]
    static = _cell(results, STATIC)
    with figures.figure(file, 2, width=5.6, height=4.8) as (means, apart):
        groups = [
            (f"{kind} data", [results.estimate(_cell(results, kind), *exam) for exam in exams])
            for kind in kinds
        ]
        marks.bars(means, names, groups)
        for place, exam in enumerate(exams):
            marks.chance(means, place, results.chance(*exam))
        figures.percent(means, "questions answered rightly")
        figures.legend(means, 4, drop=0.45)
        means.set_title(
            f"Temporal less static data on temporal questions: "
            f"{verdicts.short(_gained(results, static))} points"
        )
        differences = {
            name: results.difference(_cell(results, TEMPORAL), static, "clips", [name])
            for kind in results.kinds("clips")
            for name in results.dimensions("clips", kind)
        }
        rows = [
            f"{kind}: {name}"
            for kind in results.kinds("clips")
            for name in results.dimensions("clips", kind)
        ]
        label = "points, temporal less static data"
        marks.differences(apart, rows, [("_", [*differences.values()])], label)
        apart.set_title(_sides(results, differences))


def _sides(results: Results, differences: Mapping[str, Estimate]) -> str:
    """How many dimensions of each kind are seen to gain and to lose, as a title."""
    parts = []
    for kind in results.kinds("clips"):
        names = results.dimensions("clips", kind)
        gain = sum(differences[name].low > 0 for name in names)
        lose = sum(differences[name].high < 0 for name in names)
        parts.append(f"{gain} of {len(names)} {kind} dimensions gain, {lose} lose")
    return "; ".join(parts)


REPORT = Report(
    title="Which videos are needed",
    asks="Is data about temporal reasoning worth more than other video data?",
    how=(
        "The same small number of clips, asked about in training by temporal questions alone, by "
        "static ones alone, or by both; pictures beside them as ever (S3-IV)."
    ),
    findings=findings,
    pictures=[Picture("kind.png", "By kind of the training's questions, 95 %.", by_kind)],
)
