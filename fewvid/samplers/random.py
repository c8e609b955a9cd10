"""`random`: K tokens of each frame by chance, the baseline that is hard to beat."""

from __future__ import annotations

import jax

from fewvid.errors import UserError
from fewvid.samplers.types import Selection, top


def random(
    tokens: jax.Array,
    *,
    keep: int,
    response: jax.Array | None = None,
    keys: jax.Array | None = None,
    query: jax.Array | None = None,
    rng: jax.Array | None = None,
    frame_mask: jax.Array | None = None,
) -> Selection:
    """K of N without replacement, every subset equally likely, frames apart.

    The K largest of N uniform numbers. The baseline that most pruning methods lose to at high
    ratios (Wen et al., arXiv 2502.11501; UniPruneBench, arXiv 2511.02650). tokens float[B,T,N,D].
    The same rng gives the same choice however the batch is sharded. Raises UserError without an
    rng.
    """
    del keys, query, frame_mask
    if rng is None:
        raise UserError("the sampler 'random' needs a random key; give --seed")
    return top(jax.random.uniform(rng, tokens.shape[:3]), keep, response)
