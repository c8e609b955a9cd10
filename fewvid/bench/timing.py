"""Honest times: warmed up, waited for, the median of several runs with its quartiles."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

RUNS, FEWEST, LONGEST = 15, 3, 20.0  # runs wanted, runs at least, seconds that may be spent on more


@dataclass(frozen=True)
class Ready:
    """A case that can be timed. call: does the work once and waits until it is done.

    compile_seconds: what was spent on it before, once a shape. more: asked after the runs for
    further numbers.
    """

    call: Callable[[], Any]
    compile_seconds: float = 0.0
    more: Callable[[], dict[str, Any]] = field(default=dict)


@dataclass(frozen=True)
class Times:
    """Seconds a call: median and quartiles of `runs` runs.

    cpu_seconds: of all threads of this process, the median: what a CPU works for a call, whatever
    else it has to do, and a GPU does not count in.
    """

    seconds: float
    q1: float
    q3: float
    runs: int
    cpu_seconds: float = 0.0


def measure(call: Callable[[], Any], runs: int | None = None) -> Times:
    """Times `call`, twice unmeasured before; RUNS runs, or fewer where they take long."""
    started = time.perf_counter()
    call()
    if time.perf_counter() - started < LONGEST / FEWEST:
        call()
    taken: list[float] = []
    worked: list[float] = []
    began = time.perf_counter()
    while len(taken) < (runs or RUNS):
        started, before = time.perf_counter(), time.process_time()
        call()
        taken.append(time.perf_counter() - started)
        worked.append(time.process_time() - before)
        if len(taken) >= FEWEST and not runs and time.perf_counter() - began > LONGEST:
            break
    return dataclasses.replace(summary(taken), cpu_seconds=statistics.median(worked))


def summary(taken: list[float]) -> Times:
    """The median and the quartiles of seconds."""
    if len(taken) == 1:
        return Times(taken[0], taken[0], taken[0], 1)
    q1, median, q3 = statistics.quantiles(taken, n=4, method="inclusive")
    return Times(median, q1, q3, len(taken))
