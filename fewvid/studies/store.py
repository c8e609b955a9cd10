"""Finished cells on disk, by what they are: a second try, or another study, finds them.

What a study measures besides (costs, identity) is there too, with the device that it was measured
on: the page may be written elsewhere. Whoever wants it measured again removes the file.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from fewvid.data.shapes.variant import Variant
from fewvid.errors import UserError
from fewvid.parallel.paths import flatten, unflatten
from fewvid.studies.config import CellConfig, ExamConfig, StudyConfig
from fewvid.studies.results import Scores

# Of the adapter: what came after cells were first stored, at the values that leave it as it was.
LATER = {"tiles": (), "tile_limit": 9}


@dataclass(frozen=True)
class Store:
    """A folder with a JSON file a cell, and its parameters where it was trained.

    base: a digest of the image model that cells start from. here: the device and versions, noted
    beside what is stored.
    """

    folder: Path
    base: str
    here: str = ""

    def find(self, study: StudyConfig, cell: CellConfig) -> dict[str, Any] | None:
        """What was stored: `scores` of the cell's exams and `seconds`; None if any is missing."""
        stored = self._read(study, cell)
        wanted = {name: _exam_key(study, study.exam(name)) for name in cell.exams}
        if not set(wanted.values()) <= stored["exams"].keys():
            return None
        scores = {name: stored["exams"][key] for name, key in wanted.items()}
        return {"scores": scores, "seconds": stored["seconds"], "made_on": stored["made_on"]}

    def keep(self, study: StudyConfig, cell: CellConfig, scores: Scores, seconds: float) -> None:
        """Stores scores beside what is known of other exams. seconds: what they took."""
        stored = self._read(study, cell)
        exams = {_exam_key(study, study.exam(name)): found for name, found in scores.items()}
        self._write(study, cell, stored["exams"] | exams, stored["seconds"] + seconds)

    def params(self, study: StudyConfig, cell: CellConfig, base: Any) -> Any | None:
        """The parameters of a trained cell, with a leading axis of seeds; None if there are none.

        base: those of the image model, which stand where a cell changed nothing.
        """
        file = self._file(study, cell, ".safetensors")
        if not file.is_file():
            return None
        try:
            found = unflatten(load_file(file))
        except SafetensorError as error:
            raise UserError(f"{file} is damaged ({error}); remove it: it is made again") from error
        return jax.tree.map(lambda leaf: jnp.stack([leaf] * study.seeds), base) | found

    def keep_params(
        self, study: StudyConfig, cell: CellConfig, params: Any, base: Any, seconds: float
    ) -> None:
        """Stores the parts that differ from the image model's. seconds: what training took."""
        changed = {
            part: tree
            for part, tree in params.items()
            if not _alike(jax.tree.map(lambda leaf: leaf[0], tree), base[part])
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self._file(study, cell, ".safetensors")
        arrays = {path: np.asarray(leaf) for path, leaf in flatten(changed).items()}
        _whole(file, lambda beside: save_file(arrays, beside))
        self._write(study, cell, {}, seconds)

    def measured(self, study: StudyConfig, name: str) -> dict[str, Any] | None:
        """What was measured of a study's cells: `found`, and `made_on`, where; None if it was not.

        name: of `config.MEASURES`. Raises UserError for a file that holds no such thing.
        """
        file = self._measured_file(study, name)
        if not file.is_file():
            return None
        known = read_json(file)
        if not isinstance(known, dict) or not (known.get("found") and known.get("made_on")):
            raise UserError(f"{file} holds no measure; remove it: it is made again")
        return known

    def keep_measured(self, study: StudyConfig, name: str, found: Any) -> dict[str, Any]:
        """Stores what was measured, and returns it as `measured` does."""
        self.folder.mkdir(parents=True, exist_ok=True)
        values = {"made_on": self.here, "found": found}
        file = self._measured_file(study, name)
        _whole(file, lambda beside: beside.write_text(json.dumps(values)))
        return values

    def _measured_file(self, study: StudyConfig, name: str) -> Path:
        """By what the cells are and are called, as the numbers are listed by name."""
        cells = {cell.name: self.key(study, cell) for cell in study.cells}
        return self.folder / f"{name}-{_digest(cells)}.json"

    def _file(self, study: StudyConfig, cell: CellConfig, suffix: str) -> Path:
        return self.folder / f"{self.key(study, cell)}{suffix}"

    def _read(self, study: StudyConfig, cell: CellConfig) -> dict[str, Any]:
        file = self._file(study, cell, ".json")
        nothing = {"exams": {}, "seconds": 0.0, "made_on": []}
        if not file.is_file():
            return nothing
        found = read_json(file)
        if not isinstance(found, dict) or not nothing.keys() <= found.keys():
            raise UserError(f"{file} is no finished cell; remove it: it is made again")
        return found

    def _write(self, study: StudyConfig, cell: CellConfig, exams: Any, seconds: float) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        made_on = sorted({*self._read(study, cell)["made_on"], self.here})
        values = {"cell": asdict(cell), "seeds": study.seeds, "made_on": made_on}
        values |= {"seconds": seconds, "exams": exams}
        file = self._file(study, cell, ".json")
        _whole(file, lambda beside: beside.write_text(json.dumps(values)))

    def key(self, study: StudyConfig, cell: CellConfig) -> str:
        """Of all that a cell's parameters and choice of tokens hang on; not of its name."""
        what = {k: v for k, v in asdict(cell).items() if k not in ("name", "exams", "of")}
        what["variant"] = asdict(Variant(**cell.variant))
        parent = self.key(study, study.cell(cell.of)) if cell.of else ""
        scale = {k: v for k, v in asdict(study.scale).items() if k not in ("together", "test")}
        model = scale["model"]
        adapter = {k: v for k, v in model["adapter"].items() if k not in LATER or v != LATER[k]}
        scale["model"] = model | {"adapter": adapter}
        return _digest([what, parent, scale, study.seeds, self.base])


def read_json(file: Path) -> dict[str, Any]:
    """What a file of results holds, nothing where it is not there. Raises UserError if damaged."""
    try:
        return json.loads(file.read_text()) if file.is_file() else {}
    except ValueError as error:
        raise UserError(f"{file} is damaged ({error}); remove it: it is made again") from error


def _whole(file: Path, write: Callable[[Path], object]) -> None:
    """Writes a file beside its place and renames it. Two studies may do so at the same time."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    write(beside)
    os.replace(beside, file)


def _alike(tree: Any, other: Any) -> bool:
    """Whether two trees hold the same numbers."""
    one, two = flatten(tree), flatten(other)
    return one.keys() == two.keys() and all(
        one[path].shape == two[path].shape and bool((one[path] == two[path]).all()) for path in one
    )


def _exam_key(study: StudyConfig, exam: ExamConfig) -> str:
    what = {k: v for k, v in asdict(exam).items() if k != "name"}
    return _digest([what | {"variant": asdict(Variant(**exam.variant))}, study.scale.test])


def _digest(what: Any) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
