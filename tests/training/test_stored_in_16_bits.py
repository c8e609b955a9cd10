"""A start that is stored in 16 bits: what does not train stays so, and the numbers are the same."""

import numpy as np
import pytest

from fewvid.checkpoints import model_directory, onto_mesh
from fewvid.checkpoints.tensors import TensorFiles
from fewvid.parallel.paths import flatten
from fewvid.training import recipes, train_stage
from fewvid.training.run import run


def config(start):
    size = recipes.size("tiny")
    made = recipes.config([recipes.instruct(size)], start=size, chosen=size)
    made.model, made.init_from = {}, str(start)
    made.world.update(clips=0, images=8)
    made.mesh.update(data=1, fsdp=4, tensor=2)
    (stage,) = made.stages
    stage.update(steps=2, frames=1, length=40, questions=2, answers=4)
    stage.lora.rank, stage.cache_features = 2, False
    stage.trainable = ("adapter/.*", "encoder/layers/.*@-1:", "decoder/.*")
    return made


def types(folder):
    files = TensorFiles(folder)
    return {path: files[path].dtype.itemsize for path in files}


@pytest.fixture
def start(tmp_path):
    size = recipes.size("tiny")
    made = recipes.config([recipes.align(size)], start=size, chosen=size)
    made.world.update(clips=0, images=8)
    made.stages[0].update(steps=2)
    whole, params, tokenizer = model_directory.load(run(made, tmp_path / "first"))
    return model_directory.save(
        tmp_path / "start",
        config=whole,
        params=params,
        tokenizer=tokenizer,
        card="",
        dtype="bfloat16",
    )


def test_it_trains_to_the_same_numbers_as_from_float32(tmp_path, start, monkeypatch):
    assert set(types(start).values()) == {2}
    short = run(config(start), tmp_path / "short")
    load = onto_mesh.load
    monkeypatch.setattr(
        train_stage.onto_mesh, "load", lambda folder, layout, as_stored: load(folder, layout)
    )
    long = run(config(start), tmp_path / "long")
    one, other = (model_directory.load_weights(folder)[1] for folder in (short, long))
    for path, value in flatten(one).items():
        if not path.endswith("k/bias"):  # its gradient is 0 by nature: Adam's is noise
            np.testing.assert_allclose(value, flatten(other)[path], atol=1e-6, err_msg=path)
    kept = {path for path, size in types(short).items() if size == 2}
    assert set(types(long).values()) == {4}
    assert {"encoder/patch/kernel", "decoder/layers/attention_q/kernel"} <= kept  # LoRA's are apart
    assert not any(path.startswith("adapter") for path in kept)
    assert "encoder/layers/attention_q/kernel" not in kept  # holds rows of float32: its last layer
