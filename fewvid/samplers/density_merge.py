"""`density_merge`: the K density peaks of a frame's tokens, each the mean of its cluster."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

from fewvid.samplers.clusters import members
from fewvid.samplers.similarity import cosine
from fewvid.samplers.types import Selection, weigh

NEIGHBOURS = 5  # k of the k nearest, the token itself among them


def density_merge(
    tokens: jax.Array,
    *,
    keep: int,
    response: jax.Array | None = None,
    keys: jax.Array | None = None,
    query: jax.Array | None = None,
    rng: jax.Array | None = None,
    frame_mask: jax.Array | None = None,
) -> Selection:
    """Centres topK(rho_i delta_i), every other token to its nearest centre, x_c' = mean of them.

    With d_ij the distance of tokens of unit length, d_ij^2 = 2 - 2 cos(x_i, x_j):
    rho_i = exp(-mean of the k smallest d_ij^2); delta_i = min of d_ij over the j that are denser
    (equally dense and earlier, so that of copies one is a centre), or max_j d_ij of the densest.
    DPC-KNN (Du, Ding and Jia 2016), for tokens in TCFormer (arXiv 2204.08680) and the core of
    HoliTom and FastVID, which weigh the centre by a beta of its own; here all of a cluster count
    alike. tokens float[B,T,N,D].
    """
    del query, rng, frame_mask
    choose = jax.vmap(jax.vmap(partial(_choose, keep=keep)))
    indices, scores, merge = choose(cosine(tokens if keys is None else keys))
    whole = keep == tokens.shape[2]
    return Selection(indices, weigh(indices, response), scores, None if whole else merge)


def _choose(similarity: jax.Array, keep: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """One frame, float32[N,N]: indices [K], scores [N], merge [K,N]."""
    count = len(similarity)
    square = jnp.maximum(2.0 - 2.0 * similarity, 0.0)
    square = jnp.where(jnp.eye(count, dtype=bool), 0.0, square)
    nearest = -jax.lax.top_k(-square, min(NEIGHBOURS, count))[0]
    density = jnp.exp(-nearest.mean(axis=-1))
    index = jnp.arange(count)
    tied = (density == density[:, None]) & (index < index[:, None])
    denser = (density > density[:, None]) | tied  # [i, j]: j before i
    distance = jnp.sqrt(square)
    delta = jnp.where(denser, distance, jnp.inf).min(axis=-1)
    scores = density * jnp.where(denser.any(axis=-1), delta, distance.max(axis=-1))
    indices = jnp.sort(jax.lax.top_k(scores, keep)[1])
    inside = members(similarity, indices)
    return indices, scores, inside / inside.sum(axis=1, keepdims=True)
