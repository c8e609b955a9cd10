"""Which kept token each token of a frame is merged into."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def members(similarity: jax.Array, targets: jax.Array) -> jax.Array:
    """bool[M,N]: token n is most alike to target m, of one frame; a target is always its own.

    similarity float32[N,N], targets int32[M] its distinct indices; ties go to the earlier target.
    """
    nearest = jnp.argmax(similarity[targets], axis=0)
    nearest = nearest.at[targets].set(jnp.arange(len(targets)))
    return nearest == jnp.arange(len(targets))[:, None]
