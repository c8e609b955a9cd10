"""A jitted part of the library compiled apart from its runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def compiled(function: Any, *arguments: Any, **static: Any) -> tuple[Callable[..., Any], float]:
    """The program for these arguments, which takes the arguments alone, and the seconds it took."""
    started = time.perf_counter()
    program = function.lower(*arguments, **static).compile()
    return program, time.perf_counter() - started
