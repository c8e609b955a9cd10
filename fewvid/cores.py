"""How many cores this process may use: of a container or a `taskset`, not of the machine."""

from __future__ import annotations

import os


def cores() -> int:
    """At least 1."""
    if hasattr(os, "sched_getaffinity"):  # not on a Mac
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
