"""`attention`: the paper's weighted sampler, the K tokens with the highest response."""

from __future__ import annotations

import jax

from fewvid.errors import UserError
from fewvid.samplers.types import Selection, top


def attention(
    tokens: jax.Array,
    *,
    keep: int,
    response: jax.Array | None = None,
    keys: jax.Array | None = None,
    query: jax.Array | None = None,
    rng: jax.Array | None = None,
    frame_mask: jax.Array | None = None,
) -> Selection:
    """topK(response) of each frame ("Fewer Tokens and Fewer Videos", arXiv 2406.08024).

    tokens float[B,T,N,D], response float32[B,T,N]. Raises UserError without a response.
    """
    del tokens, keys, query, rng, frame_mask
    if response is None:
        raise UserError("the sampler 'attention' needs a response; use --sampler stride or random")
    return top(response, keep, response)
