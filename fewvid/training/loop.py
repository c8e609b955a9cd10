"""The loop of one stage: take a batch, step, report, and now and then save.

Resume order: state and iterator come back from one checkpoint, before anything takes a batch;
a save happens after a step and before the next batch, so the two never disagree.
"""

from __future__ import annotations

import math
import signal
import threading
from collections import deque
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

import jax
from jax.sharding import Mesh

from fewvid.errors import UserError
from fewvid.parallel.mesh import batch_sharding
from fewvid.training.checkpoints import StageCheckpoints
from fewvid.training.step import Step, TrainState

# Steps whose metrics are still on the device: the host reads behind, so that it never waits for
# the step just started, and yet cannot run ahead of the device without bound.
LAG = 2


class Stopped(Exception):
    """SIGTERM (or a preemption) came; a checkpoint of this very step is on disk."""


class StopSignal:
    """Notes a SIGTERM instead of dying of it, while in a `with` block of the main thread."""

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> StopSignal:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True


def train(
    step_at: Callable[[int], Step],
    state: TrainState,
    frozen: Any,
    iterator: Any,
    *,
    steps: int,
    mesh: Mesh,
    checkpoints: StageCheckpoints,
    checkpoint_every: int,
    config: dict[str, Any],
    on_metrics: Callable[[int, dict[str, float]], None],
    constant: Mapping[str, Any] | None = None,
) -> TrainState:
    """Steps from wherever `state` is to `steps`; returns the last state.

    step_at(n): the program of the step after n others; it may differ from step to step.
    on_metrics(step, metrics) is called once a step, in order, and for every step before it is
    saved. constant: what every batch has, on the devices already.
    Raises Stopped on SIGTERM, after a checkpoint; UserError at the first loss that is no number.
    """
    step = int(state.step)
    waiting: deque[tuple[int, dict[str, jax.Array]]] = deque()

    def report(keep: int) -> None:
        while len(waiting) > keep:
            done, metrics = waiting.popleft()
            numbers = {k: float(v) for k, v in jax.device_get(metrics).items()}
            on_metrics(done, numbers)
            check_finite(done, steps, numbers, checkpoints)

    with StopSignal() as stop:
        while step < steps:
            batch = to_devices(next(iterator), mesh) | dict(constant or {})
            state, metrics = step_at(step)(state, frozen, batch)
            step += 1
            waiting.append((step, metrics))
            report(LAG)
            stopping = stop.asked or checkpoints.preempted(step)
            if stopping or (step % checkpoint_every == 0 and step < steps):
                report(0)
                checkpoints.save(step, state, iterator, config)
            if stopping:
                checkpoints.wait()
                raise Stopped(f"stopped at step {step} of {steps}")
        report(0)
    return state


def check_finite(
    step: int, steps: int, metrics: Mapping[str, float], checkpoints: StageCheckpoints
) -> None:
    """Raises UserError where a loss is infinite or no number: no later step would mend it."""
    if math.isfinite(metrics["loss"]):
        return
    rate = f" (learning rate {metrics['learning_rate']:g})" if "learning_rate" in metrics else ""
    saved = checkpoints.latest()
    kept = "none was saved" if saved is None else f"{checkpoints.directory / str(saved)}"
    raise UserError(
        f"the loss is {metrics['loss']} at step {step} of {steps}{rate}; lower "
        f"optimizer.learning_rate, or lengthen optimizer.warmup; the last checkpoint: {kept}"
    )


def to_devices(batch: Mapping[str, Any], mesh: Mesh) -> dict[str, jax.Array]:
    """This host's rows to its devices, as one global array a key."""
    rows = batch_sharding(mesh)
    return {
        key: jax.make_array_from_process_local_data(rows, value) for key, value in batch.items()
    }
