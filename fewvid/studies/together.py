"""Several studies as one, so that what they share is drawn, compiled and trained once.

The store knows experiments by what they are, not by their names: then each study finds its own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from fewvid.errors import UserError
from fewvid.studies.config import CellConfig, StudyConfig


def union(studies: Sequence[StudyConfig]) -> StudyConfig:
    """All cells and exams of studies of one size, named STUDY: NAME; what is measured is left out.

    Raises UserError where scales or seeds differ.
    """
    first = studies[0]
    for other in studies[1:]:
        if (other.scale, other.seeds) != (first.scale, first.seeds):
            raise UserError(
                f"the studies {first.study} and {other.study} have another scale or other seeds, "
                "so they cannot be run together; run them one by one"
            )
    return dataclasses.replace(
        first,
        study="all",
        cells=tuple(_renamed(study, cell) for study in studies for cell in study.cells),
        exams=tuple(
            dataclasses.replace(exam, name=f"{study.study}: {exam.name}")
            for study in studies
            for exam in study.exams
        ),
        measure=(),
    )


def _renamed(study: StudyConfig, cell: CellConfig) -> CellConfig:
    return dataclasses.replace(
        cell,
        name=f"{study.study}: {cell.name}",
        of=cell.of and f"{study.study}: {cell.of}",
        exams=tuple(f"{study.study}: {name}" for name in cell.exams),
    )
