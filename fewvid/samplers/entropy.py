"""`entropy`: the K tokens that hold up the entropy of their frame, the rare ones."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from fewvid.samplers.similarity import cosine
from fewvid.samplers.types import Selection, top


def entropy(
    tokens: jax.Array,
    *,
    keep: int,
    response: jax.Array | None = None,
    keys: jax.Array | None = None,
    query: jax.Array | None = None,
    rng: jax.Array | None = None,
    frame_mask: jax.Array | None = None,
) -> Selection:
    """topK of -log mean_j S_ij^2, S = cos(X, X) of a frame; tokens float[B,T,N,D].

    The matrix-based Renyi entropy of order 2 of a frame is H = -log tr (S/N)^2
    = -log mean_i mean_j S_ij^2 (Sanchez Giraldo, Rao and Principe 2015, arXiv 1211.2459).
    A token's own term of that mean says how much of the frame repeats it: the lower it is, the more
    entropy would go with the token. That matrix entropy is a measure for pruning is EntropyPrune's
    idea (arXiv 2602.17196), which takes it of each token's heads; here it is of the frame's tokens.
    """
    del query, rng, frame_mask
    repeated = jnp.square(cosine(tokens if keys is None else keys)).mean(axis=-1)
    return top(-jnp.log(jnp.maximum(repeated, 1e-12)), keep, response)
