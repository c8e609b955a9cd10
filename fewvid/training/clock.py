"""Where the seconds of a loop go: waiting for data, waiting for the devices, saving, the rest."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

DATA, DEVICES, SAVING = "data", "devices", "saving"
WAITS: tuple[str, ...] = (DATA, DEVICES, SAVING)
# What `turn` gives, and no other metric is different from run to run.
TIMES: tuple[str, ...] = ("seconds", "data_seconds", "own_seconds")


class Clock:
    """Times turns of a loop, each from the end of the one before it."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._spent: dict[str, float] = dict.fromkeys(WAITS, 0.0)

    @contextmanager
    def on(self, what: str) -> Iterator[None]:
        """Counts what is done inside as time of DATA, DEVICES or SAVING."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._spent[what] += time.perf_counter() - began

    def turn(self) -> dict[str, float]:
        """Ends a turn. seconds: all of it; data_seconds: the loop waited for a batch, though the
        devices may have had steps to do; own_seconds: neither waited nor saved: batches put on the
        devices, the step called (the first compiles it; a CPU may run it there and then), numbers
        written.
        """
        now = time.perf_counter()
        seconds = now - self._began
        own = seconds - sum(self._spent.values())
        taken = (seconds, self._spent[DATA], own)
        found: dict[str, float] = dict(zip(TIMES, taken, strict=True))
        self._began, self._spent = now, dict.fromkeys(WAITS, 0.0)
        return found
