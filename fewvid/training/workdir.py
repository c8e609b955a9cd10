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
from fewvid.training.changes import jsonable, refuse_changes
from fewvid.training.stage import RunConfig

CONFIG = "config.json"


def check_same(workdir: Path, run: RunConfig) -> list[str]:
    """The changes of the config since the directory was last used, all of which may be made.

    Raises UserError, with the keys, where it is of a run with another config.
    """
    file = workdir / CONFIG
    if not file.exists():
        return []
    old = json.loads(file.read_text(encoding="utf-8"))
    stages = [f"{index}-{stage.name}" for index, stage in enumerate(run.stages)]
    finished = sum((workdir / "stages" / folder).exists() for folder in stages)
    return refuse_changes(old, jsonable(run.to_dict()), str(workdir), finished)


class Claim:
    """A run's hold on its working directory. before: whether an earlier call made it."""

    def __init__(self, workdir: Path, run: RunConfig) -> None:
        self.before = (workdir / CONFIG).exists()
        self._workdir, self._run = workdir, run
        # What a run makes before its first checkpoint, and this directory did not have.
        made = (CONFIG, "start", "checkpoints")
        self._new = [name for name in made if not (workdir / name).exists()]

    def write(self) -> None:
        """Stores the config: from now on the directory is the run's."""
        beside = self._workdir / f".{CONFIG}.tmp"
        text = json.dumps(jsonable(self._run.to_dict()), indent=2) + "\n"
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, self._workdir / CONFIG)

    def release(self) -> None:
        """Takes a claim of this call back, where there is nothing yet to go on from.

        The miniature world stays: the mended config draws the same one, most likely.
        """
        saved = [*self._workdir.glob("checkpoints/*/[0-9]*"), *self._workdir.glob("stages/[0-9]*")]
        if self.before or saved:
            return
        for name in self._new:
            path = self._workdir / name
            path.unlink(missing_ok=True) if name == CONFIG else shutil.rmtree(path, True)


@contextmanager
def claim(workdir: Path, run: RunConfig) -> Iterator[Claim]:
    """The claim of a run: the caller writes it once the config is known to work.

    A config that proves wrong (a UserError) before its first checkpoint gives the directory back,
    so that the mended one can have it.
    """
    made = Claim(workdir, run)
    try:
        yield made
    except UserError:
        made.release()
        raise


def sweep(workdir: Path) -> list[str]:
    """Removes what a kill left half-written: such names are never read.

    Returns the checkpoints among it, as "0-align/100".
    """
    for pattern in (".start.*", ".model.*", "stages/.*"):
        for left in workdir.glob(pattern):
            shutil.rmtree(left, ignore_errors=True)
    half = sorted(workdir.glob("checkpoints/*/*.orbax-checkpoint-tmp*"))
    for left in half:
        shutil.rmtree(left, ignore_errors=True)
    return [f"{left.parent.name}/{left.name.partition('.')[0]}" for left in half]


@contextmanager
def alone_in(workdir: Path) -> Iterator[None]:
    """Holds the working directory; the lock goes with the process, however it ends."""
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UserError(f"--workdir {workdir}: a file is in the way; give a folder") from None
    with (workdir / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another process is running in {workdir}; wait or stop it") from None
        yield
