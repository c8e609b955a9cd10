"""`temporal`: the K tokens of each frame that changed most since the frame before."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from fewvid.samplers.similarity import unit
from fewvid.samplers.types import Selection, top

# Of what is rare in a frame, beside what changed in it: it decides only where nothing moved.
RARITY = 1e-3


def temporal(
    tokens: jax.Array,
    *,
    keep: int,
    response: jax.Array | None = None,
    keys: jax.Array | None = None,
    query: jax.Array | None = None,
    rng: jax.Array | None = None,
) -> Selection:
    """topK of d + RARITY u in each frame; tokens float[B,T,N,D].

    d_{t,p} = 1 - cos(x_{t,p}, x_{t-1,p}) is EVS (arXiv 2510.14624); d_0 = 0, as nothing comes
    before. u = 1 - cos(x, c), c the mean of the frame's tokens (each of length 1), ranks as the
    frame uniqueness of VidCom2 (arXiv 2505.14454) does: its sum of Gaussians of ||x - c||^2 falls
    with x.c alone. So the first frame, which EVS keeps whole, and a clip of one frame keep what is
    rare in them, and the later frames what is new.

    EVS and VidCom2 spend one budget over the clip, more on frames that change more; here each frame
    keeps K, as a Selection has one K for all.
    """
    del query, rng
    x = unit(tokens if keys is None else keys)
    change = 1.0 - jnp.sum(x[:, 1:] * x[:, :-1], axis=-1)
    change = jnp.pad(change, ((0, 0), (1, 0), (0, 0)))
    rarity = 1.0 - jnp.sum(x * unit(x.mean(axis=2, keepdims=True)), axis=-1)
    return top(change + RARITY * rarity, keep, response)
