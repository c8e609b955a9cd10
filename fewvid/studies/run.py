"""A study from its config to its page, going on from what an earlier try has finished.

{out}/base/            the image model that all cells start from (or --base)
{out}/cells/*.json     finished cells (or --cells, which several studies may share)
{out}/results.json     all numbers, with the config, the device and the versions
{out}/*.png, README.md the figures and the page
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax

from fewvid.errors import UserError
from fewvid.studies import base as image_model
from fewvid.studies import costs, identity, page
from fewvid.studies.base import Base
from fewvid.studies.cells import sit, train_group, untrained
from fewvid.studies.config import CellConfig, StudyConfig
from fewvid.studies.library import Library
from fewvid.studies.plans import groups, of_exams, of_training
from fewvid.studies.reports import REPORTS
from fewvid.studies.results import Results
from fewvid.studies.store import Store, read_json
from fewvid.studies.strategies import STRATEGIES

Say = Callable[[str], None]
MEASURES = {"costs": costs.measure, "identity": identity.measure}


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
    started = time.monotonic()
    base = image_model.ensure(study.scale, base_dir or out / "base", say)
    here = f"{_device()}, fewvid {version}, jax {jax.__version__}"
    store = Store(cells_dir or out / "cells", base.digest, here)
    if not _train_missing(study, base, store, say, started, minutes):
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
        "device": _device(),
        "versions": {"fewvid": version, "jax": jax.__version__},
        "minutes": round(sum(cell["seconds"] for cell in cells.values()) / 60, 1),
        "config": asdict(study),
        "cells": cells,
    }
    old = read_json(out / "results.json")
    # Measured before on the same device, of the same cells, from the same image model.
    results["measured"] = _digest([results["device"], results["config"]["cells"], base.digest])
    for name in study.measure:
        known = old.get(name) if old.get("measured") == results["measured"] else None
        say(f"measuring {name}" if known is None else f"{name} were measured before")
        results[name] = MEASURES[name](study, base) if known is None else known
    out.mkdir(parents=True, exist_ok=True)
    _write(out / "results.json", json.dumps(results, indent=1) + "\n")
    found = Results(results)
    try:
        page.write(found, out, REPORTS[study.study])
    except (StopIteration, LookupError, ValueError) as error:
        raise UserError(
            f"the numbers are in {out / 'results.json'}, but the page of {study.study!r} does not "
            f"fit these cells: it compares those of configs/studies/{study.study}.py"
        ) from error
    return found


def _train_missing(
    study: StudyConfig, base: Base, store: Store, say: Say, started: float, minutes: float | None
) -> bool:
    """Whether all cells are there now."""
    missing = [cell for cell in study.cells if store.find(study, cell) is None]
    if not missing:
        return True
    say(f"{len(study.cells) - len(missing)} of {len(study.cells)} cells are finished")
    by_trained: dict[str, list[CellConfig]] = {}  # a cell, and those that apply its parameters
    for cell in missing:
        by_trained.setdefault(cell.of or cell.name, []).append(cell)
    known = {name: _known(study, base, store, study.cell(name)) for name in by_trained}
    to_train = [study.cell(name) for name, params in known.items() if params is None]
    library = Library(base, study.scale.dtype)
    for shelf, count in [
        *(need for cell in to_train for need in of_training(cell, study.scale)),
        *(need for cell in missing for need in of_exams(study, cell)),
    ]:
        library.need(shelf, count)
    bank = library.draw(say)

    def examine(name: str, params: Any) -> None:
        for cell in by_trained[name]:
            begun = time.monotonic()
            scores = sit(study, base, library, bank, cell, params)
            store.keep(study, cell, scores, time.monotonic() - begun)
            say(f"{cell.name}: {_short(scores)}")

    def late() -> bool:
        over = minutes is not None and time.monotonic() - started > 60 * minutes
        if over:
            left = sum(store.find(study, cell) is None for cell in study.cells)
            say(f"{minutes:g} minutes are over, {left} cells are left; the same command goes on")
        return over

    for name, params in known.items():
        if params is not None:
            if late():
                return False
            examine(name, params)
    for group in groups(study, base, to_train):
        if late():
            return False
        begun = time.monotonic()
        trained = train_group(study, base, library, bank, group, say)
        jax.block_until_ready(trained)
        seconds = (time.monotonic() - begun) / len(group)
        for cell, params in zip(group, trained, strict=True):
            store.keep_params(study, cell, params, base.params, seconds)
        for cell, params in zip(group, trained, strict=True):
            examine(cell.name, params)
    return True


def _known(study: StudyConfig, base: Base, store: Store, cell: CellConfig) -> Any | None:
    """The parameters of a cell that need no training: stored, or the image model's."""
    if not STRATEGIES[cell.strategy]:
        return untrained(study, base)
    return store.params(study, cell, base.params)


def _short(scores: dict[str, dict[str, Any]]) -> str:
    parts = []
    for exam, dimensions in scores.items():
        for kind in ("temporal", "static"):
            shares = [
                sum(d["right"]) / len(d["right"]) / d["total"]
                for d in dimensions.values()
                if d["kind"] == kind
            ]
            if shares:
                parts.append(f"{exam} {kind} {100 * sum(shares) / len(shares):.1f} %")
    return ", ".join(parts)


def _digest(what: Any) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]


def _device() -> str:
    device = jax.devices()[0]
    if device.platform == "cpu":
        return f"CPU, {len(os.sched_getaffinity(0))} cores"
    return f"{len(jax.devices())} x {device.device_kind}"


def _write(file: Path, text: str) -> None:
    beside = file.with_suffix(".part")
    beside.write_text(text)
    os.replace(beside, file)
