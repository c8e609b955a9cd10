"""What a sampling strategy keeps of frames that are encoded, without reading it."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax

from fewvid import samplers
from fewvid.models import lvlm
from fewvid.models.config import LvlmConfig


@partial(jax.jit, static_argnames=("config", "keep", "sampler"))
def choose(
    params: lvlm.Params,
    features: lvlm.Features,
    times: jax.Array,
    query: jax.Array | None,
    *,
    config: LvlmConfig,
    keep: int,
    sampler: str,
) -> samplers.Selection:
    """As `lvlm.see` has it, which at K = N would not run the strategy.

    times float32[B,T] seconds; query float32[B,D_llm], the question, for a strategy that asks.
    """

    def sample(
        tokens: jax.Array, response: jax.Array, say: Any, keys: jax.Array
    ) -> samplers.Selection:
        return samplers.find(sampler)(
            tokens if query is None else say(tokens),
            keep=keep,
            response=response,
            keys=keys,
            query=query,
            rng=jax.random.key(0),
        )

    shown: Any = lvlm.Lvlm(config).apply({"params": params}, features, times, sample, method="see")
    return shown.selection
