"""`strategies`: where the videos come in, for what is gained on clips and kept on pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fewvid.studies import figures, marks
from fewvid.studies.reports import longer, verdicts
from fewvid.studies.reports.report import Picture, Report
from fewvid.studies.results import Results

MOST_LOST = 0.01


def _by_strategy(results: Results) -> dict[str, str]:
    """The cell of each strategy."""
    return {results.config(name)["strategy"]: name for name in longer.usual(results)}


def _image_model(results: Results) -> str:
    return _by_strategy(results)["none"]


def _video(results: Results) -> list[str]:
    """The cells that were trained on videos, from the most gained on temporal questions."""
    cells = [name for how, name in _by_strategy(results).items() if how not in ("none", "images")]
    return sorted(cells, key=lambda c: -results.estimate(c, "clips", "temporal").mean)


def findings(results: Results) -> Sequence[str]:
    """Which gains most on temporal questions, and which keeps what the image model knew."""
    start, alone = _image_model(results), _by_strategy(results)["images"]
    cells = _video(results)
    lines = []
    for cell in cells:
        kept = results.difference(cell, alone, "pictures", "static")
        claim = f"{cell} loses at most 1 point on pictures against as much training on them alone"
        lines.append(
            verdicts.gain(claim, kept, -MOST_LOST)
            + f" {results.estimate(cell, 'pictures', 'static')} against "
            f"{results.estimate(alone, 'pictures', 'static')} %; the image model itself, which has "
            f"never seen so few tokens, {results.estimate(start, 'pictures', 'static')} %."
        )
    first, second = cells[:2]
    claim = f"{first} is better than the next, {second}, on temporal questions"
    lines.append(verdicts.gain(claim, results.difference(first, second, "clips", "temporal")))
    for cell in cells:
        gained = results.difference(cell, start, "clips", "temporal")
        more = results.difference(cell, alone, "clips", "temporal")
        lines.append(
            f"{cell} gains {verdicts.points(gained)} on temporal questions over the image model, "
            f"and {verdicts.points(more)} over as much training on images alone."
        )
    lines += longer.gained(results, cells)
    whole = results.estimate(first, "clips", "temporal")
    one, chance = (
        results.estimate(first, "one frame", "temporal"),
        results.chance("one frame", "temporal"),
    )
    several = whole.low > chance >= one.low  # it knows some, and none of it from one frame
    lines.append(
        f"Shown its middle frame alone, {first} answers {one} % of the temporal questions rightly, "
        f"where chance is {verdicts.share(chance)} %"
        + (": what it knows of them comes from several frames." if several else ".")
    )
    return lines


def gained_and_kept(results: Results, file: Path) -> None:
    """What each gains on clips and loses on pictures."""
    start = _by_strategy(results)["images"]
    cells = [name for name in longer.usual(results) if name != start]
    panels = (("temporal", "clips"), ("static", "clips"), ("static", "pictures"))
    best = _video(results)[0]
    with figures.figure(file, 3, width=4.2, height=3.4) as axes:
        for at, (kind, exam) in zip(axes, panels, strict=True):
            gained = [results.difference(name, start, exam, kind) for name in cells]
            label = f"points, {kind} questions, {exam}"
            marks.differences(at, cells, [("_", gained)], label)
        first, second, third = (
            verdicts.short(results.difference(best, start, exam, kind)) for kind, exam in panels
        )
        ahead = results.difference(best, _video(results)[1], "clips", "temporal")
        axes[0].set_title(
            f"{best} gains most on temporal questions: {first} points"
            if ahead.low > 0
            else f"None is seen to gain most on temporal questions; {best}: {first} points"
        )
        axes[1].set_title(f"{best} on static questions about clips: {second} points")
        axes[2].set_title(f"{best} on pictures: {third} points")
        marks.upright(axes[2], -100 * MOST_LOST, "1 point lost")
        figures.legend(axes[2])
        for at in axes[1:]:
            at.set_yticklabels([])


REPORT = Report(
    title="Where the videos come into the training",
    asks="S4-V, S3-IV or S2-S3-IV: which gains most on video, and which keeps what images taught?",
    how=(
        "The image model goes on in each way with as many steps and the same clips: videos alone "
        "as a fourth stage (S4-V), images and videos together in stage 3 (S3-IV), or in stages 2 "
        "and 3, where half of the steps train the encoder's last blocks (S2-S3-IV). Training on "
        "images alone shows what more steps do."
    ),
    findings=findings,
    pictures=[
        Picture(
            "gained_and_kept.png",
            "Change against as many steps on images alone, 95 % intervals.",
            gained_and_kept,
        )
    ],
    columns=(
        ("temporal", "clips", "temporal"),
        ("temporal, one frame", "one frame", "temporal"),
        ("static", "clips", "static"),
        ("pictures", "pictures", "static"),
    ),
)
