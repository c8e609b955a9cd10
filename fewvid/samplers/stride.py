"""`stride`: an even grid of K places, the same in all frames, without looking at them."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from fewvid.samplers.grid import cells
from fewvid.samplers.types import Selection, weigh


def stride(
    tokens: jax.Array,
    *,
    keep: int,
    response: jax.Array | None = None,
    keys: jax.Array | None = None,
    query: jax.Array | None = None,
    rng: jax.Array | None = None,
    frame_mask: jax.Array | None = None,
) -> Selection:
    """The middle patches of `grid.cells`, a stride along both axes. tokens float[B,T,N,D].

    The frame sampled down to K places, the plain baseline of token pruning; ours, of no paper. It
    knows places, not contents: permuting the tokens does not permute the choice.
    """
    del keys, query, rng, frame_mask
    batch, frames, count, _ = tokens.shape
    middles = jnp.asarray(cells(count, keep)[1])
    indices = jnp.broadcast_to(middles, (batch, frames, keep))
    scores = jnp.zeros((count,), jnp.float32).at[middles].set(1.0)
    scores = jnp.broadcast_to(scores, (batch, frames, count))
    return Selection(indices, weigh(indices, response), scores)
