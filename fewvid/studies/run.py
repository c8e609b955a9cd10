"""A study from its config to its page, going on from what an earlier try has finished.

{out}/base/            the image model that all cells start from (or --base)
{out}/cells/*.json     finished cells (or --cells, which several studies may share)
{out}/results.json     all numbers, with the config, and the devices and versions they come from
{out}/*.png, README.md the figures and the page
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax

from fewvid.cores import cores
from fewvid.errors import UserError
from fewvid.studies import base as image_model
from fewvid.studies import costs, coverage, dropped, identity, locality, page
from fewvid.studies.base import Base
from fewvid.studies.config import StudyConfig
from fewvid.studies.missing import finish
from fewvid.studies.reports import REPORTS
from fewvid.studies.reports.report import Report
from fewvid.studies.results import Results
from fewvid.studies.shares import WHOLE, Share
from fewvid.studies.store import Store
from fewvid.studies.together import union

Say = Callable[[str], None]
ALONE: dict[str, Any] = {  # of a report: where its findings do not fit the cells
    "findings": lambda _: ["These cells alone are not what the findings of this study compare."],
    "pictures": (),
}
# What a report raises where what it compares is not among the cells.
MISSING = (StopIteration, LookupError, ValueError, RuntimeError)  # the last of a generator
MEASURES = {
    "costs": costs.measure,
    "coverage": coverage.measure,
    "dropped": dropped.measure,
    "identity": identity.measure,
    "locality": locality.measure,
}


def run(
    study: StudyConfig,
    out: Path,
    *,
    say: Say,
    command: str = "",
    version: str = "",
    base_dir: Path | None = None,
    cells_dir: Path | None = None,
    minutes: float | None = None,
) -> Results | None:
    """Trains what is missing, then writes results.json, the figures and the page.

    command, version (of fewvid): for the page. minutes: no cell is begun after them; None is
    returned where some are left for the next try.
    Raises UserError for a study without a report, or a base of other sizes.
    """
    if study.study not in REPORTS:
        raise UserError(f"config.study is {study.study!r}, wanted one of {', '.join(REPORTS)}")
    late = _late(minutes)
    base, store = _have(study, base_dir or out / "base", cells_dir or out / "cells", say, version)
    if not finish(study, base, store, say, late):
        return None
    cells = {}
    for cell in study.cells:
        found = store.find(study, cell)
        assert found is not None
        cells[cell.name] = {"config": asdict(cell), **found}
    results = {
        "study": study.study,
        "command": command,
        "date": datetime.date.today().isoformat(),
        "minutes": round(sum(cell["seconds"] for cell in cells.values()) / 60, 1),
        "config": asdict(study),
        "cells": cells,
        "measured_on": {},
    }
    for name in study.measure:
        known = store.measured(study, name)
        if known is None:
            say(f"measuring {name}")
            known = store.keep_measured(study, name, MEASURES[name](study, base))
        results[name], results["measured_on"][name] = known["found"], known["made_on"]
    out.mkdir(parents=True, exist_ok=True)
    _write(out / "results.json", json.dumps(results, indent=1) + "\n")
    found = Results(results)
    try:
        page.write(found, out, REPORTS[study.study])
    except MISSING:
        say(
            f"the page is a table: the findings of {study.study!r} compare cells of "
            f"configs/studies/{study.study}.py that are not here"
        )
        page.write(found, out, dataclasses.replace(REPORTS[study.study], **ALONE))
    return found


def fitting(found: Results) -> Report:
    """The report of a study, or a table alone where its findings compare what is not there."""
    report = REPORTS[found.values["study"]]
    try:
        report.findings(found)
    except MISSING:
        return dataclasses.replace(report, **ALONE)
    return report


def train_all(
    studies: Sequence[StudyConfig],
    *,
    say: Say,
    base_dir: Path,
    cells_dir: Path,
    version: str = "",
    minutes: float | None = None,
    share: Share = WHOLE,
) -> bool:
    """Trains what several studies miss, together; whether all of it, or a share, is there now.

    Raises UserError where their scales or seeds differ.
    """
    late, study = _late(minutes), union(studies)
    base, store = _have(study, base_dir, cells_dir, say, version)
    return finish(study, base, store, say, late, share)


def _late(minutes: float | None) -> Callable[[], bool]:
    """Says whether so many minutes have gone from now on."""
    started = time.monotonic()
    return lambda: minutes is not None and time.monotonic() - started > 60 * minutes


def _have(
    study: StudyConfig, base_dir: Path, cells_dir: Path, say: Say, version: str
) -> tuple[Base, Store]:
    """The image model, made if it is not there, and what has been made from it."""
    base = image_model.ensure(study.scale, base_dir, say)
    here = f"{_device()}, fewvid {version}, jax {jax.__version__}"
    return base, Store(cells_dir, base.digest, here)


def _device() -> str:
    device = jax.devices()[0]
    if device.platform == "cpu":
        return f"CPU, {cores()} cores"
    return f"{len(jax.devices())} x {device.device_kind}"


def _write(file: Path, text: str) -> None:
    beside = file.with_suffix(".part")
    beside.write_text(text)
    os.replace(beside, file)
