"""Programs compiled side by side, before what they work on is there.

Compiling a program takes one thread most of a minute, and a study of a small model has dozens. On
a GPU kernels are chosen by timing them, so nothing else may run there meanwhile: first a batch of
programs is compiled, then all of them run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax

from fewvid.cores import cores

MOST = 8  # at once: each takes some GB of the host's memory
Job = Callable[[], object]


class Compiled:
    """A jitted function, and the programs that were made of it: one for all arguments alike."""

    def __init__(self, function: Any) -> None:
        self._function = function
        self._lock = threading.Lock()
        self._programs: dict[Any, Future[Any]] = {}

    def make(self, *args: Any) -> Any:
        """The program for such arguments: arrays, or `jax.ShapeDtypeStruct`s in their places."""
        leaves, tree = jax.tree.flatten(args)
        key = (tree, tuple((leaf.shape, leaf.dtype) for leaf in leaves))
        with self._lock:
            new = key not in self._programs
            program = self._programs.setdefault(key, Future())
        if new:
            try:
                program.set_result(self._function.lower(*args).compile())
            except BaseException as error:
                program.set_exception(error)
        return program.result()

    def __call__(self, *args: Any) -> Any:
        return self.make(*args)(*args)


def at_once() -> int:
    """How many programs are compiled at the same time: XLA has threads of its own in each.

    Of the cores that this process may use: `taskset` shares a machine between several.
    """
    return max(1, min(MOST, cores() // 2))


def do_all(jobs: Iterable[Job]) -> None:
    """Does all jobs, `at_once` at a time. Raises what the first that failed has raised."""
    with ThreadPoolExecutor(at_once()) as pool:
        for done in [pool.submit(job) for job in jobs]:
            done.result()
