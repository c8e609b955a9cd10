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


def claim(workdir: Path, run: RunConfig) -> None:
    """Writes the config of a new run; refuses one that differs from the config that is there."""
    file, new = workdir / "config.json", jsonable(run.to_dict())
    if not file.exists():
        beside = workdir / ".config.json.tmp"
        beside.write_text(json.dumps(new, indent=2) + "\n", encoding="utf-8")
        os.replace(beside, file)
        return
    if changed := differences(json.loads(file.read_text(encoding="utf-8")), new):
        raise UserError(
            f"{workdir} is of a run with another config ({'; '.join(changed)}); "
            "give the same config to resume it, or another --workdir"
        )


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
