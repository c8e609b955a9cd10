"""Where the numbers of a run go: {workdir}/metrics.jsonl and TensorBoard files.

A line a step: {"stage": "align", "stage_index": 0, "step": 12, "total_step": 12, "loss": ...}.
A resumed run first drops the lines past its checkpoint, since it takes those steps again: no
step is ever there twice, and none is missing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE = "metrics.jsonl"


class MetricsLog:
    """Appends steps to both; made anew for each (re)start at `resumed_at` steps of the run."""

    def __init__(self, workdir: Path, resumed_at: int) -> None:
        from tensorboardX import SummaryWriter

        file = workdir / FILE
        trim(file, resumed_at)
        self._lines = file.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(workdir / "tensorboard"), purge_step=resumed_at + 1)

    def write(self, row: Mapping[str, Any]) -> None:
        """One step; `row` has at least `total_step`, `stage` and `step`."""
        self._lines.write(json.dumps(row) + "\n")
        self._lines.flush()
        for name, value in row.items():
            if isinstance(value, float):
                self._board.add_scalar(name, value, row["total_step"])

    def close(self) -> None:
        """Flushes and closes the files."""
        self._lines.close()
        self._board.close()


def trim(file: Path, last: int) -> None:
    """Keeps the whole lines up to step `last` of the run; a line cut by a kill goes too."""
    if not file.exists():
        return
    kept = []
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:  # cut short by a kill, so the last one
            break
        if row["total_step"] <= last:
            kept.append(line + "\n")
    beside = file.with_suffix(".tmp")
    beside.write_text("".join(kept), encoding="utf-8")
    os.replace(beside, file)
