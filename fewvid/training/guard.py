"""A step whose loss or gradient is no number, or whose gradient is a spike, changes nothing.

The judgement is part of the compiled step and of its state, so that every host comes to the same
and a resumed run judges as it would have. A spike is a gradient norm (before clipping) above
`spike` times the running mean of those that were taken; the mean has to settle first.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

SETTLED = 20  # steps taken before any is called a spike
REMEMBERED = 100  # steps that the running mean reaches back, about


class Guard(NamedTuple):
    """norm float32[]: running mean of the gradient norms of the steps taken; taken, skipped and
    in_a_row (skipped since the last that was taken): int32[].
    """

    norm: Any
    taken: Any
    skipped: Any
    in_a_row: Any

    @classmethod
    def new(cls) -> Guard:
        """Of a stage that has made no step."""
        return cls(jnp.zeros((), jnp.float32), *(jnp.zeros((), jnp.int32) for _ in range(3)))


def judge(guard: Guard, loss: Any, norm: Any, spike: float) -> tuple[jax.Array, Guard]:
    """Whether to take a step of this loss and gradient norm (bool[]), and the next guard.

    spike: how many times the running mean is too much; 0: no finite norm is.
    """
    good = jnp.isfinite(loss) & jnp.isfinite(norm)
    if spike:
        good &= (guard.taken < SETTLED) | (norm <= spike * guard.norm)
    share = 1.0 / jnp.minimum(guard.taken + 1, REMEMBERED).astype(jnp.float32)
    mean = jnp.where(good, guard.norm + (norm - guard.norm) * share, guard.norm)
    one = good.astype(jnp.int32)
    bad = 1 - one
    row = jnp.where(good, 0, guard.in_a_row + 1)
    return good, Guard(mean, guard.taken + one, guard.skipped + bad, row)


def either(good: jax.Array, new: Any, old: Any) -> Any:
    """The new tree if the step was good, else the old one, bit for bit."""
    return jax.tree.map(lambda a, b: jnp.where(good, a, b), new, old)
