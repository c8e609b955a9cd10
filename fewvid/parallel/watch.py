"""Looks after the other processes of a run, so that none waits for ever for one that is gone.

Every process counts up a key of its own in the store of `jax.distributed` and reads those of the
others. One that has not counted for FEWVID_LOST_TIMEOUT seconds is lost, and one that ends by a
mistake says so before it goes; either way all the others end too, with a line that says which
process it was. JAX's own heartbeats stand behind this: they end a process with an abort (code
134) and a page of C++, which is what is seen where the first process, which keeps the store, dies.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Collection
from types import TracebackType
from typing import Any

from fewvid.buckets import Unreachable
from fewvid.errors import UserError, one_line
from fewvid.parallel import hosts
from fewvid.parallel.processes import LOST, LOST_TIMEOUT, Meeting

ALIVE, ENDED = "fewvid/alive/", "fewvid/ended/"
MISTAKE, INTERRUPTED = 2, 130


class Watch:
    """Watches while in a `with` block, and turns what leaves it by an error into an end of all.

    Where there is one process (`meeting` None) it does nothing.
    """

    def __init__(self, meeting: Meeting | None) -> None:
        self._on = meeting is not None
        self._lost = meeting.lost if meeting else 0
        self._every = min(5.0, self._lost / 4)
        self._stop = threading.Event()
        self._leaving = threading.Lock()
        self._seen: dict[str, tuple[str, float]] = {}  # alive key -> (count, when it changed)
        self._looked, self._last = 0.0, time.monotonic()

    def __enter__(self) -> Watch:
        if self._on:
            import jax

            self._index, self._count = jax.process_index(), jax.process_count()
            threading.Thread(target=self._look, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if not self._on:
            return
        if error is None:
            hosts.of_all("done")  # none counts as lost that has only finished before the others
            self._stop.set()
            return
        if isinstance(error, UserError):
            self._leave(str(error), MISTAKE)
        if isinstance(error, Unreachable):  # a return would wait here for those that wait for this
            self._leave(str(error), LOST)
        if isinstance(error, KeyboardInterrupt):
            self._leave("interrupted", INTERRUPTED)
        traceback.print_exception(error)
        if _of_another(error):  # by the time a process is held for lost, `_look` has ended this one
            time.sleep(self._lost + 2 * self._every)
        self._leave(f"{kind.__name__ if kind else ''}: {str(error).splitlines()[:1]}", 1)

    def _leave(self, why: str, code: int, gone: Collection[int] = ()) -> None:
        """Says why, here and to the other processes, and ends this one."""
        # Not by sys.exit: jax's shutdown would wait for processes that wait for this one, and the
        # main thread may be inside a collective, which no exception reaches.
        self._leaving.acquire()  # for good: what comes second, of the other thread, is not said
        print(one_line(why), file=sys.stderr, flush=True)
        sys.stdout.flush()
        try:
            note = json.dumps({"why": why, "code": code, "gone": list(gone)})
            hosts.client().key_value_set(f"{ENDED}{self._index}", note)
            if self._index == 0:
                self._wait_for_others(gone)
        finally:
            os._exit(code)

    def _wait_for_others(self, gone: Collection[int]) -> None:
        """Lets them read first: the store goes with this process; without it JAX aborts them."""
        until = time.monotonic() + self._lost
        while time.monotonic() < until:
            ended = {key for key, _ in hosts.client().key_value_dir_get(ENDED)}
            if len(ended) + len(gone) >= self._count:
                break
            time.sleep(self._every / 10)
        time.sleep(self._every / 10)  # from a note to the end of its process

    def _look(self) -> None:
        count, answered = 0, 0.0
        while not self._stop.wait(self._every if count else 0):
            count += 1
            now = self._tick()
            try:
                store: Any = hosts.client()
                store.key_value_set(f"{ALIVE}{self._index}", str(count), allow_overwrite=True)
                ended = store.key_value_dir_get(ENDED)
                alive = dict(store.key_value_dir_get(ALIVE))
                answered = now
            except Exception as error:  # of C++, of no one class; JAX itself mostly aborts first
                if now - answered > self._lost:
                    self._leave(f"process 0 has not answered for {self._lost} s ({error})", LOST)
                continue
            for key, note in ended:
                told = json.loads(note)
                why = f"process {key.removeprefix(ENDED)} has ended: {told['why']}"
                self._leave(why, told["code"], told["gone"])
            if gone := self._silent(alive):
                self._leave(lost(gone, self._count, self._lost), LOST, gone)

    def _tick(self) -> float:
        """Seconds that this process has looked at the others.

        A pause of this one, or of the machine (a virtual one that moves), is no silence of theirs.
        """
        last, self._last = self._last, time.monotonic()
        self._looked += min(self._last - last, 2 * self._every)
        return self._looked

    def _silent(self, alive: dict[str, str]) -> list[int]:
        """The processes that have not counted for too long."""
        now, gone = self._looked, []
        for index in range(self._count):
            count = alive.get(f"{ALIVE}{index}", "")
            before, since = self._seen.get(str(index), ("none", now))
            if count != before:
                since = now
                self._seen[str(index)] = (count, since)
            if now - since > self._lost and index != self._index:
                gone.append(index)
        return gone


def lost(gone: list[int], count: int, seconds: int) -> str:
    """Says which processes are not heard of any more and what to do."""
    which = ", ".join(map(str, gone))
    several = len(gone) > 1
    return (
        f"process{'es' if several else ''} {which} of {count} {'have' if several else 'has'} not "
        f"been heard of for {seconds} s ({LOST_TIMEOUT}): look at the log there, and start all "
        "again; they go on from the last checkpoint"
    )


def _of_another(error: BaseException) -> bool:
    """Whether it is what a collective says when a process on its other side is gone."""
    import jax

    return isinstance(error, jax.errors.JaxRuntimeError) or "Gloo" in str(error)
