"""Greedy tokens after a prompt, by the jitted loop of `inference.generate`."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from fewvid.bench.cases import Case
from fewvid.bench.ours import weights
from fewvid.bench.ours.compiled import compiled
from fewvid.bench.sizes import Size
from fewvid.bench.timing import Ready
from fewvid.inference import generate, parts
from fewvid.models import lvlm

NEVER = -1  # an id that ends no answer


def load(size: Size) -> Callable[[Case], Ready]:
    """Cases with `batch`: rows at once."""
    params = lvlm.unrolled(weights.random_params(size, ("decoder",)))
    dtype, keep = jnp.dtype(size.dtype), size.keeps[0]

    def prepare(case: Case) -> Ready:
        rows = case.options["batch"]
        ids, last = weights.prompt(size, keep, rows)
        logits, cache = parts.read(
            params,
            weights.visual(size, keep, rows),
            ids,
            last,
            jnp.int32(weights.VISUAL_ID),
            config=size.model,
            length=ids.shape[1] + size.tokens,
            dtype=dtype,
        )
        draw = generate.Draw.of(NEVER)
        state = generate.begin(logits, last, cache, draw)
        static = {"config": size.model, "count": size.tokens, "dtype": dtype}
        run, seconds = compiled(generate.extend, params, state, draw, **static)
        at = [state]

        def again() -> None:
            # from the end of the prompt: what was written there since is overwritten
            begun = at[0]._replace(position=last + 1, step=jnp.int32(1))
            tokens, at[0] = run(params, begun, draw)
            jax.block_until_ready(tokens)

        return Ready(again, seconds)

    return prepare
