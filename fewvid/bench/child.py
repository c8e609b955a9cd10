"""One side of one work in a process of its own, so that the device's memory is free after it.

A request comes as JSON on stdin. Answers go to stdout, a line of JSON each: who is at work, then
every case as soon as it is timed: its times, or the error that it ended with.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from fewvid.bench import timing
from fewvid.bench.cases import Case
from fewvid.bench.sizes import Size
from fewvid.bench.timing import Ready
from fewvid.errors import UserError


def main() -> None:
    """Reads {"side", "work", "size", "cases", "runs"} and answers it."""
    # What a library prints is not to be taken for an answer: it goes to stderr.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(values: dict[str, Any]) -> None:
        print(json.dumps(values), file=answers, flush=True)

    request = json.load(sys.stdin)
    size = Size.from_dict(request["size"])
    if request["side"] == "ours":
        from fewvid.bench import about
        from fewvid.bench.ours import WORKS

        say({"about": about.ours()})
    else:
        from fewvid.bench.peer import WORKS, about

        say({"about": about()})
    try:
        prepare = WORKS[request["work"]](size)
    except (RuntimeError, UserError) as error:
        say({"error": first_line(error)})
        return
    for values in request["cases"]:
        case = Case(**values)
        say({"case": case.name, **timed(prepare, case, request["runs"])})


def timed(prepare: Callable[[Case], Ready], case: Case, runs: int | None) -> dict[str, Any]:
    """What was found of a case, or {"error"}: no memory, above all; the next may have enough."""
    try:
        ready = prepare(case)
        times = timing.measure(ready.call, runs)
    except (RuntimeError, UserError) as error:
        return {"error": first_line(error)}
    compiling = {"compile_seconds": round(ready.compile_seconds, 3)}
    return {**dataclasses.asdict(times), **compiling, **ready.more()}


def first_line(error: Exception) -> str:
    """The first line of what an error says, and its kind."""
    said = str(error).strip().splitlines()
    if isinstance(error, UserError):
        return said[0][:200]
    return f"{type(error).__name__}: {said[0] if said else ''}"[:200]


if __name__ == "__main__":
    main()
