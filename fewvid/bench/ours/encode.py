"""Frames uint8[1,T,H,W,3] to tokens and response, by `inference.parts.encode`."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from fewvid.bench.cases import Case
from fewvid.bench.ours.compiled import compiled
from fewvid.bench.ours.weights import random_params
from fewvid.bench.sizes import Size
from fewvid.bench.timing import Ready
from fewvid.inference import parts


def load(size: Size) -> Callable[[Case], Ready]:
    """Cases with `frames`."""
    params = random_params(size, ("encoder",))
    side = size.model.encoder.image_size

    def prepare(case: Case) -> Ready:
        shape = (1, case.options["frames"], side, side, 3)
        pixels = jax.random.randint(jax.random.key(0), shape, 0, 256).astype(jnp.uint8)
        static = {"config": size.model, "dtype": jnp.dtype(size.dtype)}
        run, seconds = compiled(parts.encode, params, pixels, **static)
        return Ready(lambda: jax.block_until_ready(run(params, pixels)), seconds)

    return prepare
