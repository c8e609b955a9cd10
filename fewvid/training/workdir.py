"""The working directory as the identity of a run: one config, one process, nothing half-written."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fewvid.errors import UserError
from fewvid.training.checkpoints import jsonable
from fewvid.training.stage import RunConfig, differences

CONFIG = "config.json"


def check_same(workdir: Path, run: RunConfig) -> None:
    """Raises UserError, with the keys, where the directory is of a run with another config."""
    file = workdir / CONFIG
    if not file.exists():
        return
    old = json.loads(file.read_text(encoding="utf-8"))
    if changed := differences(old, jsonable(run.to_dict())):
        raise UserError(
            f"{workdir} is of a run with another config ({'; '.join(changed)}); "
            "give the same config to resume it, or another --workdir"
        )


def claim(workdir: Path, run: RunConfig) -> None:
    """Writes the config of a new run, once it is known to work: from now on it is the run's."""
    beside = workdir / f".{CONFIG}.tmp"
    beside.write_text(json.dumps(jsonable(run.to_dict()), indent=2) + "\n", encoding="utf-8")
    os.replace(beside, workdir / CONFIG)


def sweep(workdir: Path) -> None:
    """Removes what a kill left half-written: such names are never read."""
    for pattern in (".start.*", ".model.*", "stages/.*", "checkpoints/*/*.orbax-checkpoint-tmp*"):
        for left in workdir.glob(pattern):
            shutil.rmtree(left, ignore_errors=True)


@contextmanager
def alone_in(workdir: Path) -> Iterator[None]:
    """Holds the working directory; the lock goes with the process, however it ends."""
    workdir.mkdir(parents=True, exist_ok=True)
    with (workdir / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another process is running in {workdir}; wait or stop it") from None
        yield
