"""A prompt of visual tokens and words up to its first logits, by `inference.parts.read`."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from fewvid.bench.cases import Case
from fewvid.bench.ours import weights
from fewvid.bench.ours.compiled import compiled
from fewvid.bench.sizes import Size
from fewvid.bench.timing import Ready
from fewvid.inference import parts
from fewvid.models import lvlm


def load(size: Size) -> Callable[[Case], Ready]:
    """Cases with `keep`."""
    params = lvlm.unrolled(weights.random_params(size, ("decoder",)))

    def prepare(case: Case) -> Ready:
        keep = case.options["keep"]
        ids, last = weights.prompt(size, keep, 1)
        visual = weights.visual(size, keep, 1)
        given = (params, visual, ids, last, jnp.int32(weights.VISUAL_ID))
        static = {"config": size.model, "dtype": jnp.dtype(size.dtype), "length": ids.shape[1]}
        run, seconds = compiled(parts.read, *given, **static)
        return Ready(lambda: jax.block_until_ready(run(*given)), seconds)

    return prepare
