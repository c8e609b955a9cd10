"""A step of fine-tuning: adapter and decoder, all their weights, by `training.step`.

As in the third stage the encoder is frozen and its outputs are given. Layers are worked out again
on the way back. Weights, gradients and moments are of the size's own type, as the peer's are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from fewvid.bench.cases import Case
from fewvid.bench.ours import weights
from fewvid.bench.ours.compiled import compiled
from fewvid.bench.sizes import Size
from fewvid.bench.timing import Ready
from fewvid.models import lvlm
from fewvid.parallel.mesh import make_mesh
from fewvid.parallel.sharding import shardings
from fewvid.training import trainable as subtree
from fewvid.training.optimizer import make_optimizer, schedule
from fewvid.training.stage import OptimizerConfig
from fewvid.training.step import make_program

STEPS = 1000  # of the run that the step is one of: what its schedule is made for


def load(size: Size) -> Callable[[Case], Ready]:
    """Cases with `rows` and `keep`. One device: the figures are of one."""
    mesh = make_mesh(devices=jax.devices()[:1])
    optimizer = OptimizerConfig(learning_rate=1e-5, schedule="constant")

    def prepare(case: Case) -> Ready:
        keep = case.options["keep"]
        params = weights.random_params(size, ("adapter", "decoder"))
        chosen = subtree.select(params, ("adapter/.*", "decoder/.*"))

        def loss(params: Any, batch: Any, rng: jax.Array):
            options: dict[str, Any] = {"keep": keep, "rng": rng, "visual_id": weights.VISUAL_ID}
            options |= {"dtype": jnp.dtype(size.dtype), "remat": "full", "packed": False}
            return lvlm.loss(size.model, params, batch, **options)

        program = make_program(
            loss,
            make_optimizer(optimizer, STEPS),
            params,
            shardings(mesh, params),
            chosen,
            mesh,
            rate=schedule(optimizer, STEPS),
        )
        trained, frozen = subtree.split(params, chosen)
        del params
        state = program.start(trained, jax.random.key(0))
        del trained
        batch = _batch(size, case.options["rows"], keep)
        run, seconds = compiled(program.step, state, frozen, batch)
        at = [state]
        del state

        def step() -> None:
            at[0], metrics = run(at[0], frozen, batch)
            jax.block_until_ready((at[0], metrics))

        return Ready(step, seconds)

    return prepare


def _batch(size: Size, rows: int, keep: int) -> dict[str, jax.Array]:
    """Rows of one turn each, whose last `answers` ids are the answer."""
    ids, _ = weights.prompt(size, keep, rows)
    length, answers = ids.shape[1], min(size.answers, size.text - 1)
    features = weights.features(size, rows)
    at = jnp.arange(length - answers, length)
    return {
        "feature_tokens": features.tokens,
        "feature_response": features.response,
        "times": weights.times(size, rows),
        "tokens": ids,
        "segments": jnp.ones_like(ids),
        "positions": jnp.broadcast_to(jnp.arange(length), ids.shape),
        "answer_positions": jnp.broadcast_to(at - 1, (rows, answers)),
        "answer_tokens": ids[:, length - answers :],
        "answer_weights": jnp.ones((rows, answers), jnp.float32),
    }
