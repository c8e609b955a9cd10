"""The loop of one stage: take a batch, step, report, and now and then save.

Several processes run it in step: each feeds its own rows, all save at the same step.

Resume order: state and iterator come back from one checkpoint, before anything takes a batch;
a save happens after a step and before the next batch, so the two never disagree.
"""

from __future__ import annotations

import signal
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from fewvid.errors import UserError
from fewvid.parallel import hosts
from fewvid.parallel.mesh import batch_sharding, rows_here
from fewvid.training.checkpoints import StageCheckpoints
from fewvid.training.clock import DATA, DEVICES, SAVING, Clock
from fewvid.training.step import Step, TrainState

# Steps whose metrics are still on the device: the host reads behind, so that it never waits for
# the step just started, and yet cannot run ahead of the device without bound.
LAG = 2


class Stopped(Exception):
    """SIGTERM (or a preemption) came; a checkpoint of this very step is on disk."""


class StopSignal:
    """Notes a SIGTERM instead of dying of it, while in a `with` block of the main thread.

    With several processes JAX itself notes it, and Orbax agrees on a step with the others.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> StopSignal:
        alone = jax.process_count() == 1
        if alone and threading.current_thread() is threading.main_thread():
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
    batch_size: int,
    before: int = 0,
    max_skipped: int = 1,
    names_of: Callable[[Mapping[str, Any]], Sequence[str]] = lambda batch: (),
    constant: Mapping[str, Any] | None = None,
) -> TrainState:
    """Steps from wherever `state` is to `steps`; returns the last state.

    step_at(n): the program of the step after n others; it may differ from step to step.
    on_metrics(step, metrics) is called once a step, in order, and for every step before it is
    saved; metrics has the step's numbers and what its turn took (`clock.TIMES`). before: steps of
    the stages before this one. constant: what every batch has, on the devices already. names_of:
    the ids of the samples of a batch, one a row.
    Raises Stopped on SIGTERM, after a checkpoint; UserError after `max_skipped` steps in a row that
    the guard has skipped, with what they were.
    """
    step = int(state.step)
    rows = rows_here(mesh, batch_size)
    waiting: deque[tuple[int, dict[str, jax.Array], dict[str, float]]] = deque()
    fed: deque[tuple[int, Mapping[str, Any]]] = deque(maxlen=max_skipped + LAG + 1)

    def report(keep: int) -> None:
        while len(waiting) > keep:
            done, metrics, times = waiting.popleft()
            with clock.on(DEVICES):
                numbers = {k: float(v) for k, v in jax.device_get(metrics).items()}
            on_metrics(done, numbers | times)
            if numbers["skipped_in_a_row"] >= max_skipped:
                last = [(at, names_of(batch)) for at, batch in fed if at <= done]
                raise UserError(skipped(done, steps, numbers, last[-max_skipped:], checkpoints))

    clock = Clock()
    with StopSignal() as stop:
        while step < steps:
            with clock.on(DATA):
                taken = next(iterator)
            batch = to_devices(taken, mesh, rows, batch_size) | dict(constant or {})
            state, metrics = step_at(step)(state, frozen, batch)
            step += 1
            fed.append((step, {key: taken[key] for key in ("sample", "row") if key in taken}))
            waiting.append((step, metrics, clock.turn()))
            report(LAG)
            stopping = stop.asked or checkpoints.preempted(before + step)
            if stopping or (step % checkpoint_every == 0 and step < steps):
                report(0)
                with clock.on(SAVING):
                    checkpoints.save(step, state, iterator, config)
            if stopping:
                checkpoints.wait()
                raise Stopped(f"stopped at step {step} of {steps}")
        report(0)
    return state


def skipped(
    step: int,
    steps: int,
    metrics: Mapping[str, float],
    fed: Sequence[tuple[int, Sequence[str]]],
    checkpoints: StageCheckpoints,
) -> str:
    """Says what was skipped, on which samples, what is left of the stage and what may help.

    fed: the steps that were skipped with this host's samples; those of all hosts are named.
    """
    samples = []
    for number, (at, _) in enumerate(fed):
        parts = hosts.of_all(list(fed[number][1]))
        samples.append(f"step {at}: {', '.join(name for part in parts for name in part)}")
    rate = f", learning rate {metrics['learning_rate']:g}" if "learning_rate" in metrics else ""
    saved = checkpoints.latest()
    kept = "none was saved" if saved is None else f"{checkpoints.directory / str(saved)}"
    return (
        f"{metrics['skipped_in_a_row']:.0f} steps in a row were skipped, up to step {step} of "
        f"{steps} (loss {metrics['loss']}, gradient norm {metrics['gradient_norm']:g}{rate}; "
        f"{metrics['skipped']:.0f} skipped in all); lower optimizer.learning_rate, lengthen "
        f"optimizer.warmup, or look at the samples ({'; '.join(samples)}); the last good "
        f"checkpoint: {kept}"
    )


def to_devices(
    batch: Mapping[str, Any], mesh: Mesh, rows: Sequence[int] = (), batch_size: int = 0
) -> dict[str, jax.Array]:
    """This host's rows to its devices, as one global array a key.

    rows: which rows of the global batch of `batch_size` this process has, of use where there are
    several.
    """
    where = batch_sharding(mesh)
    if jax.process_count() == 1:
        return {key: jax.device_put(np.asarray(value), where) for key, value in batch.items()}
    place = {row: at for at, row in enumerate(rows)}

    def made(value: Any) -> jax.Array:
        def piece(index: Any) -> Any:
            start, stop, _ = index[0].indices(batch_size)  # rows of one device stand together
            return value[place[start] : place[start] + stop - start]

        return jax.make_array_from_callback((batch_size, *value.shape[1:]), where, piece)

    return {key: made(value) for key, value in batch.items()}
