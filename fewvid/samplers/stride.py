"""`stride`: every N/K-th token in reading order, the same in all frames, without looking."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from fewvid.samplers.types import Selection, weigh


def stride(
    tokens: jax.Array,
    *,
    keep: int,
    response: jax.Array | None = None,
    keys: jax.Array | None = None,
    query: jax.Array | None = None,
    rng: jax.Array | None = None,
) -> Selection:
    """Indices floor((i + 1/2) N / K) for i in 0..K-1. tokens float[B,T,N,D]."""
    del keys, query, rng
    batch, frames, count, _ = tokens.shape
    chosen = (2 * jnp.arange(keep) + 1) * count // (2 * keep)
    indices = jnp.broadcast_to(chosen.astype(jnp.int32), (batch, frames, keep))
    scores = jnp.zeros((count,), jnp.float32).at[chosen].set(1.0)
    scores = jnp.broadcast_to(scores, (batch, frames, count))
    return Selection(indices, weigh(indices, response), scores)
