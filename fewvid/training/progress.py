"""What a person sees while a run trains: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol


@dataclass(frozen=True)
class StepReport:
    """One finished step. index: of the stage, from 0, of `stages`; step: 1..steps."""

    name: str
    index: int
    stages: int
    step: int
    steps: int
    metrics: Mapping[str, float]


OnStep = Callable[[StepReport], None]


class Display(Protocol):
    """Takes steps, and words in between."""

    def say(self, text: str) -> None:
        """Prints a line."""
        ...

    def count(self, what: str, done: int, total: int) -> None:
        """Shows how far a preparation is."""
        ...

    def step(self, report: StepReport) -> None:
        """Shows a step of training."""
        ...

    def close(self) -> None:
        """Ends the bar."""
        ...


class Silent:
    """Shows nothing; for callers with a display of their own."""

    def say(self, text: str) -> None:
        """Prints nothing."""

    def count(self, what: str, done: int, total: int) -> None:
        """Shows nothing."""

    def step(self, report: StepReport) -> None:
        """Shows nothing."""

    def close(self) -> None:
        """Has nothing to end."""


class Pace(NamedTuple):
    """Of a stage since it was (re)started, but for its first step, which compiles.

    rate: steps a second; left: seconds to its end; data: the share of the time in which the loop
    waited for data. All 0 at the first step.
    """

    rate: float = 0.0
    left: float = 0.0
    data: float = 0.0


class Timer:
    """Reads the pace off the steps of a run."""

    def __init__(self) -> None:
        self._stage = -1

    def read(self, report: StepReport) -> Pace:
        """The pace up to this step."""
        now = time.monotonic()
        if self._stage != report.index:
            self._stage, self._first, self._began, self._data = report.index, report.step, now, 0.0
            return Pace()
        self._data += report.metrics.get("data_seconds", 0.0)
        took = max(now - self._began, 1e-9)
        rate = (report.step - self._first) / took
        return Pace(rate, (report.steps - report.step) / max(rate, 1e-9), self._data / took)


def describe_step(report: StepReport, pace: Pace) -> str:
    """ "align 12/20  loss 2.345  accuracy 0.61  3.2 steps/s  waits 1% for data  2 s left"."""
    text = f"{report.name} {report.step}/{report.steps}  loss {report.metrics['loss']:.3f}"
    if "accuracy" in report.metrics:
        text += f"  accuracy {report.metrics['accuracy']:.3f}"
    if pace.rate:
        text += f"  {pace.rate:.1f} steps/s  waits {min(pace.data, 1):.0%} for data"
        text += f"  {pace.left:.0f} s left"
    return text


class Lines:
    """A line now and then: the first and last step of a stage, and one each `every` seconds."""

    def __init__(self, every: float = 5.0) -> None:
        self._every, self._last, self._timer = every, 0.0, Timer()

    def say(self, text: str) -> None:
        """Prints a line."""
        print(text, flush=True)

    def count(self, what: str, done: int, total: int) -> None:
        """Prints how far a preparation is, seldom."""
        if done == total or time.monotonic() - self._last > self._every:
            self._last = time.monotonic()
            self.say(f"{what} {done}/{total}")

    def step(self, report: StepReport) -> None:
        """Prints a step if it is time."""
        pace = self._timer.read(report)
        due = time.monotonic() - self._last > self._every
        if due or report.step in (1, report.steps):
            self._last = time.monotonic()
            self.say(describe_step(report, pace))

    def close(self) -> None:
        """Has nothing to end."""


class Bar:
    """A rich progress bar, one a stage or preparation."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        self._progress = Progress(TextColumn("{task.description}"), BarColumn(bar_width=24))
        self._progress.start()
        self._tasks: dict[str, Any] = {}
        self._timer = Timer()

    def say(self, text: str) -> None:
        """Prints a line above the bar."""
        self._progress.console.print(text, markup=False, highlight=False)

    def count(self, what: str, done: int, total: int) -> None:
        """Moves the bar of a preparation."""
        self._show(what, f"{what} {done}/{total}", done, total)

    def step(self, report: StepReport) -> None:
        """Moves the bar of a stage."""
        text = describe_step(report, self._timer.read(report))
        self._show(f"{report.index} {report.name}", text, report.step, report.steps)

    def _show(self, key: str, text: str, done: int, total: int) -> None:
        if key not in self._tasks:
            self._tasks[key] = self._progress.add_task(text, total=total)
        self._progress.update(self._tasks[key], description=text, completed=done, total=total)

    def close(self) -> None:
        """Ends the bar; what it says stays."""
        self._progress.stop()


def display() -> Display:
    """A bar where there is a terminal to draw it on, else lines."""
    return Bar() if sys.stdout.isatty() else Lines()
