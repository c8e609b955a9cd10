"""The choice of K of N tokens of each frame, by `inference.parts.select`."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from fewvid.bench.cases import ENCODER, Case
from fewvid.bench.ours import encode, weights
from fewvid.bench.ours.compiled import compiled
from fewvid.bench.sizes import Size
from fewvid.bench.timing import Ready
from fewvid.inference import parts
from fewvid.samplers import asks


def load(size: Size) -> Callable[[Case], Ready]:
    """Cases with `sampler`, a name; and one of the encoder, to compare them with."""
    params = weights.random_params(size, ("adapter", "decoder"))
    features, times = weights.features(size), weights.times(size)
    question = weights.prompt(size, size.keeps[0], 1)[0][:, -size.text :]

    def prepare(case: Case) -> Ready:
        if case.name == ENCODER:
            return encode.load(size)(case)
        name = case.options["sampler"]
        given = (params, features, times, jax.random.key(0), question if asks(name) else None)
        static = {"config": size.model, "keep": size.keeps[0], "sampler": name}
        run, seconds = compiled(parts.select, *given, **static, dtype=jnp.dtype(size.dtype))
        return Ready(lambda: jax.block_until_ready(run(*given)), seconds)

    return prepare
