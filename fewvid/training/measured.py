"""The step of a stage timed on the devices that are here, with made-up weights and data.

It is the step that the loop runs, fed from arrays that lie on the devices: what a plan is held
against. Data that are waited for, and the loop's own work, are not in it (`training.clock`).
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from fewvid.bench import timing
from fewvid.errors import UserError
from fewvid.models.config import LvlmConfig
from fewvid.parallel import made_up
from fewvid.parallel.ahead import temporaries
from fewvid.training import ahead
from fewvid.training.plan import StagePlan
from fewvid.training.stage import RunConfig

FPS = 4  # of the made-up clips


@dataclass(frozen=True)
class Measured:
    """Of one stage. times: of a step; temporaries: bytes of a device beside the step's arguments,
    of the compiled program; peak: the most bytes of a device that were ever taken (None where it
    does not say); loss: of the last step, which shows that it was one.
    """

    stage: str
    device: str
    times: timing.Times
    compile_seconds: float
    temporaries: int
    peak: int | None
    loss: float

    def to_dict(self) -> dict[str, Any]:
        """Plain nested dicts, ready for JSON."""
        return dataclasses.asdict(self)


def measure(plan: StagePlan, run: RunConfig, model: LvlmConfig, mesh: Mesh) -> Measured:
    """Times the stage's step over a mesh of devices that are here.

    Raises UserError where it does not fit them.
    """
    stage = ahead.prepare(plan, run, model, mesh, lambda _: None)
    abstract, frozen, batch = stage.arguments
    begun = time.perf_counter()
    try:
        step = stage.program.step.lower(*stage.arguments).compile()
        seconds = time.perf_counter() - begun
        state = stage.program.start(made_up.weights(abstract.trainable), jax.random.key(run.seed))
        state = jax.block_until_ready(state)
        found = _timed(step, state, made_up.weights(frozen), _data(plan, model, batch))
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise UserError(
            f"--measure: the step of {plan.stage.name} does not fit the devices here "
            f"({str(error).splitlines()[0]}); fewer rows at once: "
            f"'--config.stages[{plan.index}].accumulate={2 * plan.stage.accumulate}'"
        ) from None
    times, loss = found
    device = mesh.devices.flat[0]
    return Measured(
        stage=plan.stage.name,
        device=f"{mesh.size} x {device.device_kind}",
        times=times,
        compile_seconds=seconds,
        temporaries=temporaries(step),
        peak=(device.memory_stats() or {}).get("peak_bytes_in_use"),
        loss=loss,
    )


def _timed(step: Any, state: Any, frozen: Any, batch: Any) -> tuple[timing.Times, float]:
    """Times of a step, each going on from the one before, and the last one's loss."""
    at = [state, {}]
    del state  # a step takes it: it must not be held twice

    def once() -> None:
        at[:] = step(at[0], frozen, batch)
        jax.block_until_ready(at)

    return timing.measure(once), float(at[1]["loss"])


def _data(plan: StagePlan, model: LvlmConfig, shapes: Any) -> dict[str, jax.Array]:
    """A batch whose rows are one turn each: frames, then words, the last of which are learnt."""
    shape = plan.shape
    rows, length, answers = shape.batch_size, shape.length, shape.answers
    visual = shape.visual_tokens(shape.frames)
    key = jax.random.key(1)
    words = jax.random.randint(
        key, (rows, length), ahead.VISUAL_ID + 1, model.decoder.vocab_size, jnp.int32
    )
    places = jnp.broadcast_to(jnp.arange(length, dtype=jnp.int32), (rows, length))
    learnt = places[:, max(length - answers, 1) :]
    learnt = jnp.pad(learnt, ((0, 0), (answers - learnt.shape[1], 0)), constant_values=length - 1)
    times = jnp.arange(shape.frames, dtype=jnp.float32) / FPS
    values = {
        "times": jnp.broadcast_to(times, (rows, shape.frames)),
        "frame_mask": jnp.ones((rows, shape.frames), bool),
        "tokens": words.at[:, 1 : 1 + visual].set(ahead.VISUAL_ID),
        "segments": jnp.ones_like(words),
        "positions": places,
        "answer_positions": learnt - 1,
        "answer_tokens": jnp.take_along_axis(words, learnt, axis=1),
        "answer_weights": jnp.ones((rows, answers), jnp.float32),
        "sample": jnp.arange(rows, dtype=jnp.int32),
    }
    return {
        name: _placed(values.get(name), leaf, jax.random.fold_in(key, number))
        for number, (name, leaf) in enumerate(sorted(shapes.items()))
    }


def _placed(value: jax.Array | None, leaf: Any, key: jax.Array) -> jax.Array:
    """The value where the shape's sharding says; what has no value is random: frames, features."""

    def make(key: jax.Array) -> jax.Array:
        if leaf.dtype == jnp.uint8:
            return jax.random.randint(key, leaf.shape, 0, 256, jnp.int32).astype(jnp.uint8)
        return jax.random.uniform(key, leaf.shape, jnp.float32).astype(leaf.dtype)

    if value is None:
        return jax.jit(make, out_shardings=leaf.sharding)(key)
    return jax.device_put(value, leaf.sharding)
