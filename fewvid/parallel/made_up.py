"""Random weights, made on the devices where they are to lie: for what is timed or compared.

Nothing is zero: products of zeros can be faster. An array is never anywhere in another type.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Any

import jax

from fewvid.parallel.paths import flatten, unflatten


def weights(shapes: Mapping[str, Any]) -> dict[str, Any]:
    """Uniform numbers, as large as fresh ones are, for a tree of ShapeDtypeStructs.

    Where a shape has a sharding its array lies as that says.
    """
    key = jax.random.key(0, impl="rbg")
    made = {}
    for number, (path, leaf) in enumerate(flatten(shapes).items()):
        spread = 0.02 if len(leaf.shape) < 2 else math.sqrt(3 / leaf.shape[-2])
        around = 1.0 if path.endswith("/scale") else 0.0
        make = _maker(leaf.sharding)
        made[path] = make(leaf.shape, leaf.dtype, jax.random.fold_in(key, number), around, spread)
    return unflatten(made)


@cache
def _maker(where: Any) -> Any:
    return jax.jit(_uniform, static_argnums=(0, 1), out_shardings=where)


def _uniform(shape: tuple[int, ...], dtype: Any, key: jax.Array, around: Any, spread: Any):
    numbers = jax.random.uniform(key, shape, dtype, -1.0, 1.0)
    return (around + spread * numbers).astype(dtype)
