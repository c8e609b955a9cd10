"""`pool`: the frame cut into K cells, each averaged: everything is kept, at a lower resolution."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from fewvid.samplers.grid import cells
from fewvid.samplers.stride import stride
from fewvid.samplers.types import Selection


def pool(
    tokens: jax.Array,
    *,
    keep: int,
    response: jax.Array | None = None,
    keys: jax.Array | None = None,
    query: jax.Array | None = None,
    rng: jax.Array | None = None,
    frame_mask: jax.Array | None = None,
) -> Selection:
    """x_k = mean of the tokens of cell k (`grid.cells`); its index is the middle patch of the cell.

    tokens float[B,T,N,D]. Average pooling over the grid, as PLLaVA (arXiv 2404.16994) reads video;
    here for any K. Like `stride` it
    knows places alone: permuting the tokens does not permute the choice.
    """
    del frame_mask
    chosen = stride(tokens, keep=keep, response=response, keys=keys, query=query, rng=rng)
    batch, frames, count, _ = tokens.shape
    if keep == count:
        return chosen
    inside = jnp.asarray(cells(count, keep)[0]) == jnp.arange(keep)[:, None]
    merge = inside / inside.sum(axis=1, keepdims=True, dtype=jnp.float32)
    return chosen._replace(merge=jnp.broadcast_to(merge, (batch, frames, keep, count)))
