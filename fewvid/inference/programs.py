"""Honest times: a jitted part is compiled once a shape, apart from its runs, and waited for."""

from __future__ import annotations

from typing import Any

import jax

from fewvid.inference.clock import Clock


class Programs:
    """The compiled parts of one model, by function, static arguments and shapes."""

    def __init__(self) -> None:
        self._compiled: dict[Any, Any] = {}

    def __len__(self) -> int:
        return len(self._compiled)

    def run(self, clock: Clock, part: str, function: Any, *arguments: Any, **static: Any) -> Any:
        """Calls a jitted function and waits for the result; static arguments go by name.

        The first call with new shapes compiles, and that time is counted as `compile`.
        """
        leaves, tree = jax.tree.flatten(arguments)
        shapes = tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves)
        key = (function, tuple(sorted(static.items())), tree, shapes)
        if key not in self._compiled:
            with clock.measure("compile"):
                self._compiled[key] = function.lower(*arguments, **static).compile()
        with clock.measure(part):
            return jax.block_until_ready(self._compiled[key](*arguments))
