"""Finished cells on disk, by what they are: a second try, or another study, finds them."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fewvid.data.shapes.variant import Variant
from fewvid.studies.config import CellConfig, ExamConfig, StudyConfig
from fewvid.studies.results import Scores


@dataclass(frozen=True)
class Store:
    """A folder of one JSON file a cell. base: a digest of the image model that cells start from."""

    folder: Path
    base: str

    def find(self, study: StudyConfig, cell: CellConfig) -> dict[str, Any] | None:
        """What was stored: `scores` of the cell's exams and `seconds`; None if any is missing."""
        file = self.folder / f"{self._key(study, cell)}.json"
        if not file.is_file():
            return None
        stored = json.loads(file.read_text())
        wanted = {name: _exam_key(study, study.exam(name)) for name in cell.exams}
        if not set(wanted.values()) <= stored["exams"].keys():
            return None
        scores = {name: stored["exams"][key] for name, key in wanted.items()}
        return {"scores": scores, "seconds": stored["seconds"]}

    def keep(self, study: StudyConfig, cell: CellConfig, scores: Scores, seconds: float) -> None:
        """Stores a cell, beside what is known of other exams; whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / f"{self._key(study, cell)}.json"
        exams = json.loads(file.read_text())["exams"] if file.is_file() else {}
        exams |= {_exam_key(study, study.exam(name)): found for name, found in scores.items()}
        values = {"cell": asdict(cell), "seeds": study.seeds, "seconds": seconds, "exams": exams}
        beside = file.with_suffix(".part")
        beside.write_text(json.dumps(values))
        os.replace(beside, file)

    def _key(self, study: StudyConfig, cell: CellConfig) -> str:
        """Of all that a cell's parameters and choice of tokens hang on; not of its name."""
        what = {k: v for k, v in asdict(cell).items() if k not in ("name", "exams", "of")}
        what["variant"] = asdict(Variant(**cell.variant))
        parent = self._key(study, study.cell(cell.of)) if cell.of else ""
        scale = {k: v for k, v in asdict(study.scale).items() if k not in ("together", "test")}
        return _digest([what, parent, scale, study.seeds, self.base])


def _exam_key(study: StudyConfig, exam: ExamConfig) -> str:
    what = {k: v for k, v in asdict(exam).items() if k != "name"}
    return _digest([what | {"variant": asdict(Variant(**exam.variant))}, study.scale.test])


def _digest(what: Any) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
