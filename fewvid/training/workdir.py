"""The working directory as the identity of a run: one config, one process, nothing half-written."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fewvid import buckets
from fewvid.errors import UserError
from fewvid.training.changes import jsonable, refuse_changes
from fewvid.training.stage import RunConfig

CONFIG = "config.json"
COMMITTED = "commit_success.txt"  # Orbax's, in a bucket


def check_same(workdir: buckets.Folder, run: RunConfig) -> list[str]:
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

    def __init__(self, workdir: buckets.Folder, run: RunConfig) -> None:
        self.before = (workdir / CONFIG).exists()
        self._workdir, self._run = workdir, run
        # What a run makes before its first checkpoint, and this directory did not have.
        made = (CONFIG, "start", "checkpoints")
        self._new = [name for name in made if not (workdir / name).exists()]

    def write(self) -> None:
        """Stores the config: from now on the directory is the run's."""
        text = json.dumps(jsonable(self._run.to_dict()), indent=2) + "\n"
        buckets.write_whole(self._workdir / CONFIG, text)

    def release(self) -> None:
        """Takes a claim of this call back, where there is nothing yet to go on from.

        The miniature world stays: the mended config draws the same one, most likely.
        """
        saved = ("checkpoints/*/[0-9]*", "stages/[0-9]*")
        if self.before or any(list(self._workdir.glob(each)) for each in saved):
            return
        for name in self._new:
            buckets.remove(self._workdir / name)


@contextmanager
def claim(workdir: buckets.Folder, run: RunConfig) -> Iterator[Claim]:
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


def sweep(workdir: buckets.Folder) -> list[str]:
    """Removes what a kill left half-written: such names are never read.

    Returns the checkpoints among it, as "0-align/100".
    """
    if buckets.is_address(workdir):  # where nothing is renamed, a file says what is whole
        steps = workdir.glob("checkpoints/*/[0-9]*")
        half = [s for s in steps if s.name.isdigit() and not (s / COMMITTED).exists()]
    else:
        for pattern in (".start.*", ".model.*", "stages/.*"):
            for left in workdir.glob(pattern):
                buckets.remove(left)
        half = sorted(workdir.glob("checkpoints/*/*.orbax-checkpoint-tmp*"))
    for left in half:
        buckets.remove(left)
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
