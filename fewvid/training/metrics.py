"""Where the numbers of a run go: {workdir}/metrics.jsonl and TensorBoard files.

A line a step: {"stage": "align", "stage_index": 0, "step": 12, "total_step": 12, "loss": ...}.
A resumed run first drops the lines past its checkpoint, since it takes those steps again: no
step is ever there twice, and none is missing. Of a run in a bucket both are sent now and then,
whole, and before each checkpoint: nothing can be appended there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Any

from fewvid import buckets
from fewvid.errors import UserError

FILE = "metrics.jsonl"
BOARD = "tensorboard"
SECONDS = 30  # between two sendings


class MetricsLog:
    """Appends steps to both; made anew for each (re)start at `resumed_at` steps of the run.

    send: sends both where they are kept, if that is elsewhere.
    """

    def __init__(
        self, workdir: Path, resumed_at: int, send: Callable[[], None] | None = None
    ) -> None:
        from tensorboardX import SummaryWriter

        file = workdir / FILE
        trim(file, resumed_at)
        self._lines = file.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(workdir / BOARD), purge_step=resumed_at + 1)
        self._send = send
        self._sender = ThreadPoolExecutor(1) if send else None
        self._sending: Future[None] | None = None
        self._sent_at = time.monotonic()
        self._unsent = False

    def write(self, row: Mapping[str, Any]) -> None:
        """One step; `row` has at least `total_step`, `stage` and `step`."""
        self._lines.write(json.dumps(row) + "\n")
        self._lines.flush()
        self._unsent = True
        for name, value in row.items():
            if isinstance(value, float):
                self._board.add_scalar(name, value, row["total_step"])
        if time.monotonic() - self._sent_at > SECONDS:
            self._send_soon()

    def send(self) -> None:
        """Returns when all that was written is where it is kept."""
        if self._sending:
            wait([self._sending])  # what went wrong then is tried again now
        self._sending = None
        self._send_soon()
        if self._sending:
            self._sending.result()
        self._unsent = False

    def close(self) -> None:
        """Flushes and closes the files; of a run that failed, sends its last steps if it can."""
        if self._unsent:
            with suppress(UserError, buckets.Unreachable):
                self.send()
        self._lines.close()
        self._board.close()
        if self._sender:
            self._sender.shutdown()

    def _send_soon(self) -> None:
        if self._sender and self._send and (self._sending is None or self._sending.done()):
            self._board.flush()
            self._sent_at = time.monotonic()
            self._sending = self._sender.submit(self._send)


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
    buckets.write_whole(file, "".join(kept))
