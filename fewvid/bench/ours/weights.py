"""Random weights and inputs, made on the device in the type that is wanted.

A model of 7B is never there in float32. Nothing is zero: products of zeros can be faster.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from fewvid.bench.sizes import Size
from fewvid.models import lvlm
from fewvid.parallel import made_up

VISUAL_ID = 4


def random_params(size: Size, parts: Sequence[str]) -> lvlm.Params:
    """{part: its weights} of encoder, adapter or decoder: uniform, as large as fresh ones are."""
    shapes = jax.eval_shape(lambda: lvlm.init(size.model, jax.random.key(0)))
    dtype = jnp.dtype(size.dtype)
    wanted = {part: shapes[part] for part in parts}
    return made_up.weights(
        jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, dtype), wanted)
    )


def features(size: Size, rows: int = 1) -> lvlm.Features:
    """What an encoder might say of the frames of `rows` clips."""
    tokens, heat = jax.random.split(jax.random.key(1))
    shape = (rows, size.frames, size.model.encoder.tokens)
    wide = (*shape, size.model.encoder.width)
    response = jax.nn.softmax(2 * jax.random.normal(heat, shape), axis=-1)
    return lvlm.Features(jax.random.normal(tokens, wide, jnp.dtype(size.dtype)), response)


def times(size: Size, rows: int = 1) -> jax.Array:
    """Seconds of the frames, float32[rows,T]."""
    return jnp.broadcast_to(jnp.arange(size.frames, dtype=jnp.float32) / 4, (rows, size.frames))


def prompt(size: Size, keep: int, rows: int) -> tuple[jax.Array, jax.Array]:
    """ids int32[rows,L]: the placeholders, then words; and the index of the last of each."""
    ids = jax.random.randint(
        jax.random.key(2), (rows, size.length(keep)), VISUAL_ID + 1, size.model.decoder.vocab_size
    )
    ids = ids.at[:, : size.visual(keep)].set(VISUAL_ID)
    return ids, jnp.full((rows,), size.length(keep) - 1, jnp.int32)


def visual(size: Size, keep: int, rows: int) -> jax.Array:
    """What an adapter might say of the kept tokens, float[rows,T,M,D]."""
    count = size.visual(keep) // size.frames
    shape = (rows, size.frames, count, size.model.decoder.width)
    return jax.random.normal(jax.random.key(3), shape, jnp.dtype(size.dtype))
