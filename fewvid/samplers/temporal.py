"""`temporal`: of a clip's tokens those that changed most since the frame before."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from fewvid.samplers.budget import spend
from fewvid.samplers.similarity import unit
from fewvid.samplers.types import Selection

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
    frame_mask: jax.Array | None = None,
) -> Selection:
    """topK(u) of the first frame, and top(n - 1)K of d + RARITY u of the others together.

    tokens float[B,T,N,D]; n is the number of real frames of `frame_mask`. The frames that pad keep
    K of their own, so a clip keeps the same tokens however far it is padded.

    d_{t,p} = 1 - cos(x_{t,p}, x_{t-1,p}) is EVS (arXiv 2510.14624), which ranks the tokens of all
    frames at once: frames that change more keep more. Each keeps 1 or more, so that none is unseen.
    Of d only what exceeds its median over the frame counts: whatever moves in a frame, an encoder
    shifts all of its tokens a little, and a budget would go to that background.

    EVS keeps the first frame, before which nothing comes, whole. That would take the budget where
    T K is near N or below it, so here it keeps K, as does an image: those of highest
    u = 1 - cos(x, c), with c the mean of the frame's tokens (each of length 1). u ranks as the
    frame uniqueness of VidCom2 (arXiv 2505.14454) does: its sum of Gaussians of ||x - c||^2 falls
    with x.c alone. In later frames u decides where nothing moved.
    """
    del query, rng
    x = unit(tokens if keys is None else keys)
    change = 1.0 - jnp.sum(x[:, 1:] * x[:, :-1], axis=-1)
    change = jnp.maximum(change - jnp.median(change, axis=-1, keepdims=True), 0.0)
    change = jnp.pad(change, ((0, 0), (1, 0), (0, 0)))
    rarity = 1.0 - jnp.sum(x * unit(x.mean(axis=2, keepdims=True)), axis=-1)
    apart = jnp.broadcast_to(jnp.arange(x.shape[1]) == 0, x.shape[:2])
    if frame_mask is not None:
        apart = apart | ~frame_mask
    return spend(change + RARITY * rarity, keep, apart, response)
