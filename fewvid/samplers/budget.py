"""One budget over the clip: T * K tokens in all, more of the frames where there is more to keep."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from fewvid.samplers.types import Selection, gather, spread


def spend(
    scores: jax.Array, keep: int, apart: jax.Array, response: jax.Array | None = None
) -> Selection:
    """The T * K highest scores, float32[B,T,N], of those that may be kept.

    apart bool[B,T]: frames that keep exactly K, their own highest, and take nothing from the
    budget of the others; these keep K on average and at least 1 each. So the number that a group
    of frames keeps is known beforehand, and shapes hang on T, N and K alone: one ranking of all
    T * N tokens, in which what must be kept stands first and what may not stands last. Ties go to
    the earlier frame and the lower index.
    """
    batch, frames, count = scores.shape
    scores = scores.astype(jnp.float32)
    order = jnp.argsort(-scores, axis=-1, stable=True)
    rank = jnp.argsort(order, axis=-1)
    apart = apart[..., None]
    certain = rank < jnp.where(apart, keep, 1)
    ranked = jnp.where(certain, jnp.inf, jnp.where(apart, -jnp.inf, scores))
    kept = jax.lax.top_k(ranked.reshape(batch, frames * count), frames * keep)[1]
    places = jnp.sort(kept, axis=-1).reshape(batch, frames, keep).astype(jnp.int32)
    chosen = Selection(places % count, jnp.ones(places.shape), scores, frames=places // count)
    if response is None:
        return chosen
    inside = spread(chosen.weights, chosen)  # 1 where kept
    total = (inside * response).sum(-1, keepdims=True, dtype=jnp.float32)
    mean = total / inside.sum(-1, keepdims=True)
    weights = gather((response / jnp.maximum(mean, 1e-30))[..., None], chosen)[..., 0]
    return chosen._replace(weights=weights.astype(jnp.float32))
