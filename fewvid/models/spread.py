"""Keeps the rows of a batch on the devices that they came to, however the weights lie.

Weights that are split over the same devices as the rows can be gathered layer by layer, or the
rows can be; left to itself the compiler may take the rows, and hold all of them on every device.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import jax
from jax.sharding import NamedSharding

_layout: ContextVar[NamedSharding | None] = ContextVar("layout", default=None)


@contextmanager
def rows_on(layout: NamedSharding) -> Iterator[None]:
    """While a program is traced in it, `spread` holds activations to `layout` of their axis 0."""
    token = _layout.set(layout if layout.mesh.size > 1 else None)
    try:
        yield
    finally:
        _layout.reset(token)


def spread(x: jax.Array) -> jax.Array:
    """The same array [B,...], whose rows are split as `rows_on` says and the rest is whole."""
    layout = _layout.get()
    return x if layout is None else jax.lax.with_sharding_constraint(x, layout)
