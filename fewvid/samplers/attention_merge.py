"""`attention_merge`: the tokens of highest response, and the rest merged into a few of its own."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

from fewvid.errors import UserError
from fewvid.samplers.clusters import members
from fewvid.samplers.similarity import cosine
from fewvid.samplers.types import Selection, weigh

CONTEXT = 10 / 64  # share of K that the rest is merged into: VisionZip's 54 + 10


def attention_merge(
    tokens: jax.Array,
    *,
    keep: int,
    response: jax.Array | None = None,
    keys: jax.Array | None = None,
    query: jax.Array | None = None,
    rng: jax.Array | None = None,
    frame_mask: jax.Array | None = None,
) -> Selection:
    """topK1(a) as they are, and K2 = K - K1 targets x_t' = (x_t + mean of those assigned to t) / 2.

    tokens float[B,T,N,D], response a float32[B,T,N]. The idea of VisionZip (arXiv 2412.04467): of
    the tokens that are not in topK1, evenly spaced ones are targets, and each other one is assigned
    to the target with the most similar key (the token itself where there are no keys). Evenly
    spaced in the order of their response, not in that of their places, so that the choice moves
    with the tokens. VisionZip adds x_t + mean; half of it has the same direction, and weights of
    sum 1. K2 is at least 1, but 0 at K = 1. Raises UserError without a response.
    """
    del query, rng, frame_mask
    if response is None:
        raise UserError(
            "the sampler 'attention_merge' needs a response; "
            "use --sampler density_merge, which does not"
        )
    ranked = jax.lax.stop_gradient(response).astype(jnp.float32)
    similarity = cosine(tokens if keys is None else keys)
    choose = jax.vmap(jax.vmap(partial(_choose, keep=keep)))
    indices, scores, merge = choose(similarity, ranked)
    whole = keep == tokens.shape[2]
    return Selection(indices, weigh(indices, response), scores, None if whole else merge)


def _choose(
    similarity: jax.Array, response: jax.Array, keep: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """One frame, float32[N,N] and float32[N]: indices [K], scores [N], merge [K,N]."""
    count = len(response)
    context = 0 if keep == 1 else max(1, round(keep * CONTEXT))
    dominant = keep - context
    order = jnp.argsort(-response, stable=True).astype(jnp.int32)
    spaced = (2 * jnp.arange(context) + 1) * (count - dominant) // (2 * max(context, 1))
    targets = order[dominant + spaced]
    kept = jnp.concatenate([order[:dominant], targets])
    merge = jax.nn.one_hot(kept, count)
    if context:
        assigned = members(similarity, targets).at[:, kept].set(False)
        number = assigned.sum(axis=1, keepdims=True)
        mean = assigned / jnp.maximum(number, 1)
        own = merge[dominant:]
        merge = merge.at[dominant:].set(jnp.where(number > 0, (own + mean) / 2, own))
    # A target counts as the least of the dominant ones: what was kept stands above what was not.
    scores = response.at[targets].set(response[order[dominant - 1]])
    sort = jnp.argsort(kept)
    return kept[sort], scores, merge[sort]
