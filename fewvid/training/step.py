"""One step of training as one compiled program over the mesh.

state, frozen, batch --loss--> gradients of the trainable tree alone --optimizer--> state, metrics
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from fewvid.models.attention import placed
from fewvid.models.spread import rows_on
from fewvid.parallel.mesh import HEADS, ROWS, batch_sharding, replicated
from fewvid.training import accumulation
from fewvid.training import trainable as subtree
from fewvid.training.guard import Guard, either, judge
from fewvid.training.optimizer import optimizer_layout
from fewvid.training.trainable import Trainable

# (params, batch, rng) -> (scalar, metrics)
Loss = Callable[[Any, Any, jax.Array], tuple[jax.Array, dict[str, jax.Array]]]


class TrainState(NamedTuple):
    """All that a step changes (or the shardings of it).

    step int32[]; key uint32[2], the data of the stage's own random key; trainable: a subtree;
    guard: what steps were skipped.
    """

    step: Any
    key: Any
    trainable: Any
    optimizer: Any
    guard: Any


VALUE = "value of the loss"  # among the metrics of a part, until they are judged
# (state, frozen, batch) -> (the next state, metrics)
Step = Callable[[TrainState, Any, Any], tuple[TrainState, dict[str, jax.Array]]]


class Program(NamedTuple):
    """The compiled parts of a stage, and the shapes with shardings to restore a state into."""

    start: Callable[[Any, jax.Array], TrainState]
    step: Step
    abstract: TrainState
    frozen_layout: Any


def make_program(
    loss: Loss,
    optimizer: optax.GradientTransformation,
    params: Mapping[str, Any],
    layout: Mapping[str, Any],
    trainable: Trainable,
    mesh: Mesh,
    rate: optax.Schedule | None = None,
    batch_layout: Any = None,
    accumulate: int = 1,
    spike: float = 0.0,
) -> Program:
    """Builds `start(trainable tree, key) -> state` and `step(state, frozen, batch)`.

    params: the whole tree, or its shapes; layout: its shardings; batch_layout: those of a batch
    (None: rows over the mesh). accumulate: parts of a batch that are taken one by one, see
    `accumulation`. `start` takes its tree into the state and `step` donates its state: neither may
    be used again. The metrics of a step are those of `loss` with `gradient_norm` (before clipping),
    `learning_rate`, and the steps `skipped` so far and `skipped_in_a_row`: one that is no number,
    or whose gradient norm is above `spike` times their mean, changes nothing (`guard`).
    """
    moving, _ = subtree.abstract_split(params, trainable)
    moving_layout, frozen_layout = subtree.split_layout(layout, trainable)
    everywhere = replicated(mesh)
    rows = batch_layout or batch_sharding(mesh)

    def start(trained: Any, key: jax.Array) -> TrainState:
        data = jax.random.key_data(key)
        return TrainState(
            jnp.zeros((), jnp.int32), data, trained, optimizer.init(trained), Guard.new()
        )

    shapes = jax.eval_shape(start, moving, jax.eval_shape(lambda: jax.random.key(0)))
    moments = optimizer_layout(shapes.optimizer, moving, moving_layout, everywhere)
    state_layout = TrainState(
        everywhere, everywhere, moving_layout, moments, Guard(*(everywhere,) * 4)
    )

    def step(state: TrainState, frozen: Any, batch: Any):
        rng = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)

        def objective(trained: Any, batch: Any, rng: jax.Array):
            with rows_on(batch_sharding(mesh)):
                return loss(subtree.merge(trained, frozen, trainable), batch, rng)

        def differentiate(trained: Any, batch: Any, rng: jax.Array):
            (value, metrics), gradients = jax.value_and_grad(objective, has_aux=True)(
                trained, batch, rng
            )
            return gradients, metrics | {VALUE: value}

        with placed(mesh, ROWS, HEADS):
            if accumulate == 1:
                gradients, metrics = differentiate(state.trainable, batch, rng)
            else:
                parts, shared = accumulation.divided(batch, rows, accumulate)
                gradients, metrics = accumulation.mean(
                    lambda part, rng: differentiate(state.trainable, part | shared, rng),
                    parts,
                    rng,
                    moving_layout,
                )
        updates, moments = optimizer.update(gradients, state.optimizer, state.trainable)
        trained = optax.apply_updates(state.trainable, updates)
        value, norm = metrics.pop(VALUE), optax.tree.norm(gradients)
        good, guard = judge(state.guard, value, norm, spike)
        trained, moments = either(good, (trained, moments), (state.trainable, state.optimizer))
        metrics = metrics | {"gradient_norm": norm}
        metrics |= {"skipped": guard.skipped, "skipped_in_a_row": guard.in_a_row}
        if rate is not None:  # the optimizer counts the updates that it made
            made = state.step - state.guard.skipped
            metrics["learning_rate"] = jnp.asarray(rate(made), jnp.float32)
        return TrainState(state.step + 1, state.key, trained, moments, guard), metrics

    return Program(
        start=jax.jit(start, out_shardings=state_layout, donate_argnums=0),
        step=jax.jit(
            step,
            in_shardings=(state_layout, frozen_layout, rows),
            out_shardings=(state_layout, everywhere),
            donate_argnums=0,
        ),
        abstract=jax.tree.map(
            lambda leaf, where: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where),
            shapes,
            state_layout,
        ),
        frozen_layout=frozen_layout,
    )
