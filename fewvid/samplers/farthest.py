"""Greedy max-min: each next token is the one farthest from all that were chosen before it."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def farthest(
    similarity: jax.Array, worth: jax.Array, first: jax.Array, keep: int
) -> tuple[jax.Array, jax.Array]:
    """The chosen of one frame, int32[K] sorted, and the scores float32[N] that chose them.

    s_1 = argmax_j first_j and s_{t+1} = argmax_j w_j min_{i in chosen} D_ij, with `first` and the
    worth w float32[N], w not below 0, and D = 1 - similarity float32[N,N]. Ties go to the lower
    index. The score of a chosen token is what it was chosen for (of the first: the highest of all),
    of another what it had at the end.
    """
    count = len(worth)
    distance = jnp.maximum(1.0 - similarity, 0.0)

    def choose(step: jax.Array, state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        order, taken, nearest, gain = state
        chosen = jnp.argmax(jnp.where(taken, -jnp.inf, gain))
        taken = taken.at[chosen].set(True)
        nearest = jnp.minimum(nearest, distance[chosen])
        gain = jnp.where(taken, gain, worth * nearest)  # a chosen one's stays as it was
        return order.at[step].set(chosen.astype(jnp.int32)), taken, nearest, gain

    start = (
        jnp.zeros((keep,), jnp.int32),
        jnp.zeros((count,), bool),
        jnp.full((count,), jnp.inf),
        first,
    )
    order, _, _, scores = jax.lax.fori_loop(0, keep, choose, start)
    scores = scores.at[order[0]].set(0.0)
    return jnp.sort(order), scores.at[order[0]].set(scores.max())
