"""A stage by LoRA: stopped and resumed bit for bit, and merged where the next one begins."""

import os
import signal

import numpy as np
import pytest

from fewvid.checkpoints import lora, model_directory
from fewvid.checkpoints.tensors import TensorFiles
from fewvid.parallel.paths import flatten
from fewvid.training import recipes
from fewvid.training.loop import Stopped
from fewvid.training.run import run

KERNEL = "decoder/layers/attention_q/kernel"


def config(*after):
    size = recipes.size("tiny")
    made = recipes.config([recipes.instruct(size), *after], start=size, chosen=size)
    made.world.update(clips=0, images=8)
    made.mesh.update(data=1, fsdp=4, tensor=2)
    made.compute_dtype, made.remat = "bfloat16", "full"
    for stage in made.stages:
        stage.update(steps=3, checkpoint_every=2, frames=1, length=40, questions=2, answers=4)
        stage.optimizer.update(warmup=0, learning_rate=1e-2)
    made.stages[0].accumulate = 2
    made.stages[0].lora.rank = 2
    made.stages[0].optimizer.name = "muon"
    return made


def stored(folder):
    files = TensorFiles(folder)
    return {path: np.concatenate([*files[path].pieces()]) for path in files}


def test_stopped_it_comes_to_the_same_model_and_the_next_stage_begins_merged(tmp_path):
    def stop(report):
        if report.step == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    through = run(config(), tmp_path / "through", on_step=lambda _: None)
    two = config(recipes.align(recipes.size("tiny")))
    with pytest.raises(Stopped):
        run(two, tmp_path / "two", on_step=stop)
    last = run(two, tmp_path / "two", on_step=lambda _: None)
    between, start = tmp_path / "two/stages/0-instruct", stored(tmp_path / "two/start")
    for name in ("model.safetensors", lora.FILE):
        resumed = (between / name).read_bytes()
        assert resumed == (tmp_path / "through/stages/0-instruct" / name).read_bytes(), name
    assert (through / lora.FILE).read_bytes() == resumed
    # The weights beside A and B are those that the run started from.
    after, summed = stored(between), flatten(model_directory.load_weights(between)[1])
    found = stored(last)
    for path in start:
        if path.startswith(("decoder/", "encoder/")):
            np.testing.assert_array_equal(start[path], after[path], err_msg=path)
            # The next stage began with the sum, and left it as it was: it trains the adapter.
            np.testing.assert_allclose(found[path], summed[path], atol=1e-6, err_msg=path)
    assert np.abs(found[KERNEL] - after[KERNEL]).max() > 1e-3
    assert not (last / lora.FILE).exists()
