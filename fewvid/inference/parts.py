"""The steps of an answer as pure functions, each jitted alone so that each can be timed alone.

pixels --encode--> Features --select--> kept --adapt--> visual --read--> first logits, cache

Between `adapt` and `read`, `pack` puts the views of a picture in tiles into one row.

`dtype` is what a part computes in, and its cache holds; parameters may be of another.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from fewvid import samplers
from fewvid.models import lvlm, tiles
from fewvid.models.config import LvlmConfig
from fewvid.models.pooling import halved_response
from fewvid.samplers import auto_keep

change = jax.jit(auto_keep.change)  # float[B,T,N,D] -> float32[B]
pooled = jax.jit(halved_response)  # float32[B,T,N] -> float32[B,T,N'], of fewer tokens

LEAST_TEXT = 32  # text is padded to this many ids, or twice, four times ... as many


def padded(length: int) -> int:
    """A static length for so many ids: doubling steps, so that few programs serve all texts."""
    steps = LEAST_TEXT
    while steps < length:
        steps *= 2
    return steps


@partial(jax.jit, static_argnames=("config", "dtype"))
def encode(
    params: lvlm.Params, pixels: jax.Array, *, config: LvlmConfig, dtype: Any = jnp.float32
) -> lvlm.Features:
    """pixels uint8[B,T,H,W,3] -> Features."""
    return lvlm.encode(config, params, pixels, dtype=dtype)


@partial(jax.jit, static_argnames=("config", "keep", "sampler", "dtype"))
def select(
    params: lvlm.Params,
    features: lvlm.Features,
    times: jax.Array,
    rng: jax.Array,
    question: jax.Array | None = None,
    *,
    config: LvlmConfig,
    keep: int,
    sampler: str,
    dtype: Any = jnp.float32,
) -> tuple[samplers.Selection | None, jax.Array]:
    """What the sampler keeps (None where it keeps everything), and the response it looked at.

    question int32[B,L], the ids of `Chat.question_ids` with -1 after them, for a sampler that asks.
    """
    asked: dict[str, Any] = (
        {} if question is None else {"query": lvlm.ask(params, question, question >= 0)}
    )
    options: dict[str, Any] = {"keep": keep, "sampler": sampler, "rng": rng, "dtype": dtype}
    visual = lvlm.see(config, params, features, times, **options, **asked)
    return visual.selection, visual.response


@partial(jax.jit, static_argnames=("config", "dtype"))
def adapt(
    params: lvlm.Params,
    features: lvlm.Features,
    times: jax.Array,
    selection: samplers.Selection | None,
    *,
    config: LvlmConfig,
    dtype: Any = jnp.float32,
) -> jax.Array:
    """The visual tokens float[B,T,M,D_llm] of what `select` kept."""
    sample = None if selection is None else lambda *_: selection
    module = lvlm.Lvlm(config, dtype, unrolled=lvlm.is_unrolled(params))
    visual: Any = module.apply({"params": params}, features, times, sample, method="see")
    return visual.tokens


@jax.jit
def pack(params: lvlm.Params, visual: jax.Array, table: tiles.Table) -> jax.Array:
    """The visual tokens float[1,1,L,D_llm] that are read of views float[V,1,K,D_llm]."""
    return tiles.pack(visual, params["adapter"]["newline"], table)


@partial(jax.jit, static_argnames=("config", "length", "dtype"))
def read(
    params: lvlm.Params,
    visual: jax.Array | None,
    tokens: jax.Array,
    last: jax.Array,
    visual_id: jax.Array,
    *,
    config: LvlmConfig,
    length: int,
    dtype: Any = jnp.float32,
) -> tuple[jax.Array, lvlm.Cache]:
    """Reads prompts into a new cache of `length` slots: (float32[B,V] after index `last`, cache).

    tokens int32[B,L], right-padded; last int32[B]. Nothing looks at the padding, which comes after
    all else, and the slots it takes are overwritten one by one before the answer looks at them.
    """
    batch, prompt = tokens.shape
    positions = jnp.broadcast_to(jnp.arange(prompt), tokens.shape)
    unrolled = lvlm.is_unrolled(params)
    empty = lvlm.new_cache(config, batch, length, dtype, unrolled=unrolled)
    inputs: tuple[Any, ...] = (visual, tokens, positions, None, tokens == visual_id, empty)
    module = lvlm.Lvlm(config, dtype, unrolled=unrolled)
    output: Any = module.apply({"params": params}, *inputs, method="read")
    hidden, cache = output
    end = jnp.take_along_axis(hidden, last[:, None, None], axis=1)[:, 0]
    logits: Any = lvlm.logits(config, params, end, dtype)
    return logits, cache
