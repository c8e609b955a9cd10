"""Where a run lives: a folder that all its processes see, or gs://bucket/folder.

In a folder everything is read and written where it is. Of a run in a bucket each process has a
scratch folder of its own (in TMPDIR), empty at the start and removed at the end: models, the
numbers and the miniature world are written there, and what the run keeps is sent. What is in the
bucket is the run; nothing in a scratch folder is ever gone on from.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from fewvid import buckets
from fewvid.errors import UserError
from fewvid.training.workdir import alone_in

HOLDER = ".holder.json"  # of a bucket's run: which process goes on with it
FLAG = "--workdir"


@dataclass(frozen=True)
class Place:
    """A working directory. root: what names and holds it; here: where this process has files."""

    root: buckets.Folder
    here: Path
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    @classmethod
    def of(cls, workdir: Path | str, process: int = 0) -> Place:
        """The place of a `--workdir`. process: which of several of a run this is.

        Raises UserError for an address that is none.
        """
        if not buckets.is_address(workdir):
            folder = Path(workdir).expanduser()
            return cls(folder, folder)
        root = buckets.at(workdir, FLAG)
        name = hashlib.sha256(str(root).encode()).hexdigest()[:12]
        scratch = f"fewvid-{os.getuid()}-{name}-{process}"
        return cls(root, Path(tempfile.gettempdir()) / scratch)

    @property
    def in_bucket(self) -> bool:
        """Whether what is `here` is this process's alone."""
        return self.here != self.root

    @contextmanager
    def held(self, leads: bool) -> Iterator[None]:
        """Holds what is on this machine: `here`, for the process that writes there."""
        if not self.in_bucket:
            with alone_in(self.here) if leads else nullcontext():
                yield
            return
        with alone_in(self.here):
            try:
                self._empty()
                yield
            finally:
                shutil.rmtree(self.here, ignore_errors=True)

    def take(self) -> None:
        """Makes this process the one that goes on with a bucket's run; one before it gives up.

        No lock: a machine that was taken away could not open it. Raises UserError, before any
        work, where the bucket is not there or refuses.
        """
        if not self.in_bucket:
            return
        holder = self.root / HOLDER
        said = {"token": self.token, "host": socket.gethostname(), "process": os.getpid()}
        with buckets.refusals(self.root, FLAG):
            buckets.write_whole(holder, json.dumps(said) + "\n")
            buckets.check_readable_by_tensorstore(holder)

    def check_taken(self) -> None:
        """Raises UserError where another process has taken a bucket's run since."""
        if not self.in_bucket:
            return
        with buckets.refusals(self.root, FLAG):
            there = json.loads((self.root / HOLDER).read_text(encoding="utf-8"))
        if there["token"] != self.token:
            raise UserError(
                f"{FLAG} {self.root}: process {there['process']} on {there['host']} has taken this "
                "run over; this one ends without saving"
            )

    def has(self, model: str) -> bool:
        """Whether the run has made this model ("start", "stages/0-align", "model")."""
        return (self.root / model / buckets.WHOLE).exists()

    def bring(self, model: str) -> Path:
        """The model as a folder of this machine, fetched if need be."""
        folder = self.here / model
        if self.in_bucket and not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            buckets.fetch(self.root / model, folder)
        return folder

    def keep(self, model: str) -> None:
        """Makes the model that was written `here` one of the run."""
        if self.in_bucket:
            self.check_taken()
            buckets.send(self.here / model, self.root / model)

    def forget(self, model: str) -> None:
        """Makes room on this machine: the run has the model still."""
        if self.in_bucket:
            shutil.rmtree(self.here / model, ignore_errors=True)

    def bring_file(self, name: str) -> None:
        """Fetches one file of the run, if it is there."""
        if self.in_bucket:
            with buckets.refusals(self.root):
                if (self.root / name).exists():
                    text = (self.root / name).read_bytes()
                    (self.here / name).write_bytes(text)

    def keep_files(self, *patterns: str) -> None:
        """Sends the files that are `here` by these patterns, whole, over what was there."""
        if self.in_bucket:
            self.check_taken()
            files = [file for each in patterns for file in self.here.glob(each) if file.is_file()]
            buckets.send_files(files, self.here, self.root)

    def _empty(self) -> None:
        for left in self.here.iterdir():
            if left.name == ".lock":
                continue
            shutil.rmtree(left) if left.is_dir() else left.unlink()
