"""Milliseconds by part, without jax, so that time before it is loaded can be counted too."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

PARTS = ("decode", "encode", "select", "adapt", "prefill", "generate", "compile")


class Clock:
    """Milliseconds by part; a part that never ran stays 0."""

    def __init__(self, parts: tuple[str, ...] = PARTS) -> None:
        self.milliseconds = dict.fromkeys(parts, 0.0)

    @contextmanager
    def measure(self, part: str) -> Iterator[None]:
        """Adds the time of the `with` block to `part`."""
        start = time.perf_counter()
        yield
        spent = (time.perf_counter() - start) * 1e3
        self.milliseconds[part] = round(self.milliseconds[part] + spent, 3)
