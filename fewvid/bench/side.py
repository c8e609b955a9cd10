"""Asks a child process for the cases of one work, and hears of each as soon as it is timed."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fewvid.bench.cases import Case
from fewvid.bench.sizes import Size
from fewvid.parallel import gpu_memory

ROOT = Path(__file__).resolve().parents[2]
LATE = "no time was left"


def ask(
    side: str,
    work: str,
    size: Size,
    cases: Sequence[Case],
    *,
    runs: int | None = None,
    deadline: float | None = None,
) -> Iterator[dict[str, Any]]:
    """Yields what the child says, see `bench.child`; last {"error"} where it came to grief.

    side: ours or peer. deadline: of time.monotonic(), at which the child is ended.
    """
    left = None if deadline is None else deadline - time.monotonic()
    if left is not None and left <= 0:
        yield {"error": LATE}
        return
    wanted = [case.to_dict() for case in cases]
    request = {"side": side, "work": work, "size": size.to_dict(), "cases": wanted, "runs": runs}
    with tempfile.TemporaryFile("w+") as errors:
        child = subprocess.Popen(
            [sys.executable, "-m", "fewvid.bench.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=_environment(),
        )
        assert child.stdin
        assert child.stdout
        timer = threading.Timer(left, child.kill) if left is not None else None
        try:
            if timer:
                timer.start()
            with contextlib.suppress(BrokenPipeError):
                child.stdin.write(json.dumps(request))
                child.stdin.close()
            for line in child.stdout:
                yield json.loads(line)
            if child.wait():
                late = deadline is not None and time.monotonic() >= deadline
                yield {"error": LATE if late else _last_line(errors, child.returncode)}
        finally:
            if timer:
                timer.cancel()
            child.kill()
            child.wait()
            child.stdout.close()


def _environment() -> dict[str, str]:
    """Ours, with this very fewvid first, and most of an accelerator's memory to whoever runs."""
    found = dict(os.environ)
    found["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), found.get("PYTHONPATH")]))
    found.setdefault(gpu_memory.NAME, gpu_memory.SHARE)
    return found


def _last_line(errors: Any, code: int) -> str:
    """What a process that failed said last."""
    errors.seek(0)
    lines = [line.strip() for line in errors.read().splitlines() if line.strip()]
    return (lines[-1] if lines else f"ended with code {code}")[:200]
