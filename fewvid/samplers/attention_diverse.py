"""`attention_diverse`: K tokens of high response that do not repeat each other."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

from fewvid.errors import UserError
from fewvid.samplers.farthest import farthest
from fewvid.samplers.similarity import cosine
from fewvid.samplers.types import Selection, weigh


def attention_diverse(
    tokens: jax.Array,
    *,
    keep: int,
    response: jax.Array | None = None,
    keys: jax.Array | None = None,
    query: jax.Array | None = None,
    rng: jax.Array | None = None,
    frame_mask: jax.Array | None = None,
) -> Selection:
    """s_{t+1} = argmax_j a_j min_{i in chosen} (1 - cos(x_i, x_j)), a the response of the frame.

    tokens float[B,T,N,D], response float32[B,T,N]. The idea of ADTS in FlashVID: max-min with
    distances weighed by attention. The first has the highest response: the token farthest from its
    nearest neighbour, which max-min starts from, would pass over an object for being larger than a
    patch. It stands here for VisPruner too, whose rule hangs on the order of the tokens.
    Responses are divided by the highest of the frame, which changes no choice and lets none
    underflow. Raises UserError without a response.
    """
    del query, rng, frame_mask
    if response is None:
        raise UserError(
            "the sampler 'attention_diverse' needs a response; use --sampler maxmin, which does not"
        )
    worth = jax.lax.stop_gradient(response).astype(jnp.float32)
    worth = worth / jnp.maximum(worth.max(axis=-1, keepdims=True), 1e-30)
    choose = jax.vmap(jax.vmap(partial(farthest, keep=keep)))
    indices, scores = choose(cosine(tokens if keys is None else keys), worth, worth)
    return Selection(indices, weigh(indices, response), scores)
