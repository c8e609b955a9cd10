"""What the device can do at most: a large product of matrices, a copy of a large array."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from fewvid.bench.cases import Case
from fewvid.bench.ours.compiled import compiled
from fewvid.bench.sizes import BYTES, Size
from fewvid.bench.timing import Ready


def load(size: Size) -> Callable[[Case], Ready]:
    """Cases `product` and `copy`."""
    dtype = jnp.dtype(size.dtype)

    def prepare(case: Case) -> Ready:
        if case.name == "product":
            a, b = jax.random.normal(jax.random.key(0), (2, size.product, size.product), dtype)
            run, seconds = compiled(jax.jit(jnp.matmul), a, b)
            return Ready(lambda: jax.block_until_ready(run(a, b)), seconds)
        x = jax.random.normal(jax.random.key(0), (size.copy // BYTES[size.dtype],), dtype)
        # in place: a new array a call would be a test of the allocator
        change, seconds = compiled(jax.jit(jnp.negative, donate_argnums=0), x)
        kept = [x]

        def copy() -> None:
            kept[0] = jax.block_until_ready(change(kept[0]))

        return Ready(copy, seconds)

    return prepare
