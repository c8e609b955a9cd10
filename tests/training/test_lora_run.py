"""Two stages by LoRA: stopped and resumed bit for bit, merged where the next one begins."""

import os
import signal

import numpy as np
import pytest

from fewvid.checkpoints import lora, model_directory
from fewvid.checkpoints.tensors import TensorFiles
from fewvid.models import low_rank
from fewvid.parallel.paths import flatten
from fewvid.training import recipes
from fewvid.training.loop import Stopped
from fewvid.training.run import run

KERNEL = "decoder/layers/attention_q/kernel"


def config(optimizer="muon"):
    size = recipes.size("tiny")
    stages = [recipes.instruct(size), recipes.video(size)]
    made = recipes.config(stages, start=size, chosen=size)
    made.world.update(clips=4, images=8)
    made.mesh.update(data=1, fsdp=4, tensor=2)
    made.compute_dtype, made.remat = "bfloat16", "full"
    for stage in made.stages:
        stage.update(steps=3, checkpoint_every=2, accumulate=2, frames=2, length=48)
        stage.lora.update(rank=2)
        stage.optimizer.update(name=optimizer, warmup=0, learning_rate=1e-2)
    return made


def stored(folder):
    files = TensorFiles(folder)
    return {path: np.concatenate([*files[path].pieces()]) for path in files}


def test_stopped_it_comes_to_the_same_model_and_the_next_stage_begins_merged(tmp_path):
    def stop(report):
        if report.step == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped):
        run(config(), tmp_path / "stopped", on_step=stop)
    models = [
        run(config(), tmp_path / name, on_step=lambda _: None) for name in ("stopped", "through")
    ]
    first, second = map(stored, models)
    for path, value in first.items():
        np.testing.assert_array_equal(value, second[path], err_msg=path)
    low = [(model / lora.FILE).read_bytes() for model in models]
    assert low[0] == low[1]

    work = tmp_path / "through"
    start, between, last = (work / name for name in ("start", "stages/0-instruct", "model"))
    begun, after = stored(start), stored(between)
    for path in begun:
        if path.startswith(("decoder/", "encoder/")):
            np.testing.assert_array_equal(begun[path], after[path], err_msg=path)
    # The second stage began with the sum, and leaves it as it was.
    merged = flatten(model_directory.load_weights(between)[1])
    assert np.abs(merged[KERNEL] - after[KERNEL]).max() > 1e-3
    np.testing.assert_allclose(stored(last)[KERNEL], merged[KERNEL], atol=1e-6)
    pair = lora.ModelFiles(last).lora.pairs[KERNEL]
    assert pair[0].shape == (2, 32, 2)
    assert np.abs(pair[1]).max() > 1e-3
    assert all(not low_rank.owner(path)[1] for path in stored(last))
