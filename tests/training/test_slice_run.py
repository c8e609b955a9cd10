"""A run over slices: stopped, it goes on over another number of them, to the same model."""

import os
import signal

import jax
import numpy as np
import pytest

from fewvid.checkpoints.tensors import TensorFiles
from fewvid.errors import UserError
from fewvid.training import recipes
from fewvid.training.loop import Stopped
from fewvid.training.run import run


def config(**mesh):
    size = recipes.size("tiny")
    made = recipes.config([recipes.align(size)], start=size, chosen=size)
    made.world.update(clips=0, images=8)
    made.stages[0].update(steps=5, checkpoint_every=100, length=40, questions=2, answers=4)
    made.stages[0].optimizer.update(warmup=0, learning_rate=1e-2)
    made.mesh.update(mesh)
    return made


@pytest.fixture(autouse=True)
def quickly():
    """Compiling is most of what these take, and how well is of no interest."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def stored(folder):
    files = TensorFiles(folder)
    return {path: np.concatenate([*files[path].pieces()]) for path in files}


def test_a_checkpoint_goes_on_over_other_slices(tmp_path):
    def stop(report):
        if report.step == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    through = run(config(), tmp_path / "through", on_step=lambda _: None)
    with pytest.raises(Stopped):
        run(config(slice=2, data=1, fsdp=4), tmp_path / "two", on_step=stop)
    steps = []
    other = config(slice=4, data=1, fsdp=1, tensor=2)
    last = run(other, tmp_path / "two", on_step=lambda report: steps.append(report.step))
    assert 1 < steps[0] <= steps[-1] == 5  # it went on, and did not begin again
    one, found = stored(through), stored(last)
    assert one.keys() == found.keys()
    for path, value in one.items():
        if path == "adapter/k/bias":  # whose gradient is 0 by nature: Adam makes steps of rounding
            continue
        np.testing.assert_allclose(found[path], value, atol=1e-5, err_msg=path)
    begun = stored(tmp_path / "through/start")
    assert max(np.abs(one[path] - begun[path]).max() for path in one) > 1e-3


def test_a_batch_that_does_not_divide_over_slices(tmp_path):
    made = config(slice=2)
    made.stages[0].batch_size = 12
    with pytest.raises(
        UserError,
        match=r"\(align\): batch_size 12 does not divide over slice=2 x data=4 x fsdp=1; make it "
        "a multiple of 8",
    ):
        run(made, tmp_path, on_step=print)
