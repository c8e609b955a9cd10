"""What a step's turn of the loop takes, and what is said of steps that were skipped."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewvid.parallel.mesh import make_mesh
from fewvid.training.loop import skipped, train
from fewvid.training.metrics import MetricsLog

STEPS, WAIT, SAVE = 60, 0.004, 0.03


def test_waiting_for_data_is_told_apart_and_the_loop_itself_takes_less_than_a_millisecond(tmp_path):
    def batches():
        while True:
            time.sleep(WAIT)
            yield {"tokens": np.zeros((4, 8), np.int32), "sample": np.arange(4)}

    @jax.jit
    def step(state, frozen, batch):
        state = SimpleState(state.step + 1)
        loss = batch["tokens"].sum() + frozen * state.step
        metrics = dict.fromkeys(("loss", "accuracy", "gradient_norm", "skipped"), loss)
        return state, metrics | {"skipped_in_a_row": jnp.float32(0)}

    checkpoints: Any = SimpleNamespace(
        preempted=lambda step: False, save=lambda *_: time.sleep(SAVE), wait=lambda: None
    )
    log = MetricsLog(tmp_path, 0)
    train(
        lambda _: step,
        SimpleState(jnp.int32(0)),
        jnp.float32(1),
        batches(),
        steps=STEPS,
        mesh=make_mesh(1, devices=jax.devices()[:1]),
        checkpoints=checkpoints,
        checkpoint_every=10,
        config={},
        on_metrics=lambda at, numbers: log.write({"step": at, "total_step": at, **numbers}),
        batch_size=4,
    )
    log.close()
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    after_saving = [row for row in rows if row["step"] % 10 == 1 and row["step"] > 1]
    assert min(row["seconds"] for row in after_saving) > SAVE + WAIT
    assert min(row["data_seconds"] for row in rows) >= WAIT
    # Median, as other programs may want the processor in between.
    assert np.median([row["own_seconds"] for row in rows]) < 1e-3


@jax.tree_util.register_dataclass
@dataclass
class SimpleState:
    """All that the loop reads of a state."""

    step: jax.Array


@pytest.mark.parametrize(("latest", "kept"), [(4, "d/4"), (None, "none was saved")])
def test_skipped_steps_are_named_with_samples_rate_and_checkpoint(latest, kept):
    numbers = {"loss": float("nan"), "gradient_norm": 3.5, "learning_rate": 0.5}
    numbers |= {"skipped": 4.0, "skipped_in_a_row": 2.0}
    checkpoints = SimpleNamespace(latest=lambda: latest, directory=Path("d"))
    said = skipped(7, 9, numbers, [(6, ["a", "b"]), (7, ["c", "d"])], checkpoints)
    assert said == (
        "2 steps in a row were skipped, up to step 7 of 9 (loss nan, gradient norm 3.5, learning "
        "rate 0.5; 4 skipped in all); lower optimizer.learning_rate, lengthen optimizer.warmup, or "
        "look at the samples (step 6: a, b; step 7: c, d); the last good checkpoint: " + kept
    )
