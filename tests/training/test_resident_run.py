"""A run whose data stays on the device: it learns, and resumes to the same parameters."""

import os
import signal

import pytest

from fewvid.training import recipes
from fewvid.training.loop import Stopped
from fewvid.training.run import run


def config():
    size = recipes.size("tiny")
    made = recipes.config([recipes.align(size)], start=size, chosen=size)
    stage = made.stages[0]
    made.world.update(clips=0, images=8)
    stage.update(steps=5, checkpoint_every=100, frames=1, resident=True)
    stage.optimizer.warmup = 0
    return made


def test_a_resident_run_resumes_bit_for_bit(tmp_path):
    losses = {}

    def stop(report):
        if report.step == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    whole = run(config(), tmp_path / "whole", on_step=lambda r: losses.update({r.step: r.metrics}))
    assert sorted(losses) == [1, 2, 3, 4, 5]
    assert losses[5]["loss"] < losses[1]["loss"]
    with pytest.raises(Stopped):
        run(config(), tmp_path / "halves", on_step=stop)
    halves = run(config(), tmp_path / "halves", on_step=print)
    one, other = ((folder / "model.safetensors").read_bytes() for folder in (whole, halves))
    assert one == other
