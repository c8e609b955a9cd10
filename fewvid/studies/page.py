"""The page of a study: what was asked, what was found, the figures, the table, how to repeat it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fewvid.studies.reports.report import Columns, Report
from fewvid.studies.results import Results

FILE = "README.md"
WIDEST = 5  # columns of estimates
PAIRED = {
    True: "Differences and ratios are taken seed by seed; their intervals hold both as well, as if "
    "each cell had been asked other questions, and so are rather too wide than too narrow.",
    False: "With one seed, what another seed would change is in no interval.",
}


def write(results: Results, out: Path, report: Report) -> None:
    """Draws the figures and writes the page into `out`."""
    for picture in report.pictures:
        if picture.there(results):
            picture.draw(results, out / picture.file)
    (out / FILE).write_text("\n".join(_lines(results, report)) + "\n", encoding="utf-8")


def _lines(results: Results, report: Report) -> list[str]:
    values = results.values
    study = values["config"]
    lines = [f"# {report.title}", "", f"*{report.asks}*", "", "## What was found", ""]
    if study["size"] == "tiny":
        lines += ["A run of minutes to see that all works; **its numbers mean nothing**.", ""]
    lines += [f"- {finding}" for finding in report.findings(results)]
    for picture in report.pictures:
        if picture.there(results):
            lines += ["", f"![{picture.caption}]({picture.file})", "", picture.caption]
    lines += ["", "## How", "", report.how, ""]
    lines += _recipe(results)
    lines += ["", "## All cells", "", *table(results, report.columns)]
    if report.dimensions:
        lines += ["", "## Clips, by dimension", "", *by_dimension(results)]
    lines += [
        "",
        "Per cent of questions whose likeliest valid answer is the right one, mean over the "
        f"dimensions of a kind, ± half of a 95 % interval over {study['seeds']} seeds (Student's "
        "t) and over the questions asked (binomial). " + PAIRED[study["seeds"] > 1],
        "",
        "## To repeat it",
        "",
        "```bash",
        values["command"],
        "```",
        f"Made on {_where(results)}, {values['minutes']:g} minutes of training and exams (without "
        f"drawing, compiling and the image model); the page of {values['date']}. All numbers are "
        "in [results.json](results.json).",
    ]
    return lines


def _where(results: Results) -> str:
    """The devices and versions of all cells: they need not be those that wrote the page."""
    made_on = {where for cell in results.cells.values() for where in cell["made_on"]}
    measured = [f"{name} on {where}" for name, where in results.values["measured_on"].items()]
    return "; ".join([*sorted(made_on), *measured])


def _recipe(results: Results) -> list[str]:
    study = results.values["config"]
    scale = study["scale"]
    encoder = scale["model"]["encoder"]
    tokens = (encoder["image_size"] // encoder["patch_size"]) ** 2
    return [
        f"World `shapes`, {encoder['image_size']} x {encoder['image_size']} pixels, N = {tokens} "
        f"tokens a frame. {scale['steps']} steps of {scale['batch_clips']} clips and "
        f"{scale['batch_pictures']} pictures with {scale['questions']} questions each; exams of "
        f"{scale['test']} clips and pictures that nothing was trained on. Every cell starts from "
        f"one image model, {_image_model(scale)}.",
    ]


def _image_model(scale: dict[str, Any]) -> str:
    """Where the image model comes from, in words."""
    start = scale["start"]
    if start and not scale["base_steps"]:
        return f"`{start}`"
    keeps = ", ".join(map(str, scale["base_keep"]))
    trained = (
        f"{scale['base_steps']} steps of {scale['base_batch']} of {scale['base_pictures']} "
        f"pictures, K = {keeps} of the tokens ({scale['base_sampler']})"
    )
    return f"made from `{start}` by {trained}" if start else f"trained from nothing in {trained}"


def table(results: Results, columns: Columns) -> list[str]:
    """Markdown: a line a cell, an estimate a column; a dash where a cell did not sit the exam.

    Where that would be too wide to read, a line an exam and kind, and a column a cell.
    """
    rows = [
        [name, *(_entry(results, name, exam, of) for _, exam, of in columns)]
        for name in results.cells
    ]
    rows.insert(0, ["cell", *(heading for heading, _, _ in columns)])
    if len(columns) > WIDEST:
        rows = [list(row) for row in zip(*rows, strict=True)]
        rows[0][0] = "exam"
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return [lines[0], f"|{'---|' * len(rows[0])}", *lines[1:]]


def by_dimension(results: Results, exam: str = "clips") -> list[str]:
    """Markdown: a line a dimension of an exam, temporal ones first, and a column a cell."""
    rows = [["dimension", *results.cells], ["---"] * (1 + len(results.cells))]
    for kind in results.kinds(exam):
        for name in results.dimensions(exam, kind):
            found = [str(results.estimate(cell, exam, [name])) for cell in results.cells]
            rows.append([f"{kind}: {name}", *found])
    return [f"| {' | '.join(row)} |" for row in rows]


def _entry(results: Results, cell: str, exam: str, of: str) -> str:
    sat = exam in results.cells[cell]["scores"]
    return str(results.estimate(cell, exam, of)) if sat else "–"
