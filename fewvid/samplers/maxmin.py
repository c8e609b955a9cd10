"""`maxmin`: K tokens of a frame as far from each other as can be found greedily."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

from fewvid.samplers.farthest import farthest
from fewvid.samplers.similarity import cosine
from fewvid.samplers.types import Selection, weigh


def maxmin(
    tokens: jax.Array,
    *,
    keep: int,
    response: jax.Array | None = None,
    keys: jax.Array | None = None,
    query: jax.Array | None = None,
    rng: jax.Array | None = None,
    frame_mask: jax.Array | None = None,
) -> Selection:
    """s_{t+1} = argmax_j min_{i in chosen} (1 - cos(x_i, x_j)); tokens float[B,T,N,D].

    The idea of DivPrune (arXiv 2503.02175). The first is the token farthest from its nearest
    neighbour.
    """
    del query, rng, frame_mask
    similarity = cosine(tokens if keys is None else keys)
    nearest = jnp.where(jnp.eye(similarity.shape[-1], dtype=bool), -jnp.inf, similarity).max(-1)
    choose = jax.vmap(jax.vmap(partial(farthest, keep=keep)))
    indices, scores = choose(similarity, jnp.ones_like(nearest), -nearest)
    return Selection(indices, weigh(indices, response), scores)
