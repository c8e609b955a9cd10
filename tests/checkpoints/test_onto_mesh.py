"""Parameters from files onto eight devices: the same numbers, each device holding its own piece."""

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from fewvid.checkpoints import model_directory, onto_mesh
from fewvid.checkpoints.tensors import TensorFiles
from fewvid.errors import UserError
from fewvid.models import lvlm
from fewvid.models.config import LvlmConfig
from fewvid.parallel.mesh import make_mesh
from fewvid.parallel.paths import flatten
from fewvid.parallel.sharding import shardings

CONFIG = LvlmConfig.tiny()


@pytest.fixture
def directory(tmp_path, tokenizer):
    shapes = jax.eval_shape(lambda: lvlm.init(CONFIG, jax.random.key(0)))
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shapes)
    return model_directory.save(
        tmp_path / "model",
        config=CONFIG,
        params=params,
        tokenizer=tokenizer,
        card="",
        dtype="bfloat16",
        shard_bytes=40_000,
    )


@pytest.fixture
def layout():
    shapes = jax.eval_shape(lambda: lvlm.init(CONFIG, jax.random.key(0)))
    return shardings(make_mesh(2, 2, 2), shapes)


def test_every_device_gets_its_piece(directory, layout, monkeypatch):
    largest = []
    part = TensorFiles.part

    def watched(self, name, index):
        found = part(self, name, index)
        largest.append(found.size / max(np.prod(self[name].shape), 1))
        return found

    monkeypatch.setattr(TensorFiles, "part", watched)
    wanted = flatten(model_directory.load_weights(directory)[1])
    found = flatten(onto_mesh.load(directory, layout))
    assert found.keys() == wanted.keys()
    for path, array in found.items():
        assert array.dtype == np.float32
        assert array.sharding == flatten(layout)[path]
        np.testing.assert_array_equal(array, wanted[path])
    assert np.isclose(sum(largest), len(wanted))  # nothing was read twice
    assert sorted(set(largest)) == [0.25, 0.5, 1]


def test_what_does_not_fit_is_named(directory, layout):
    file = sorted(directory.glob("*.safetensors"))[0]
    arrays = load_file(file)
    gone = sorted(arrays)[0]
    del arrays[gone]
    save_file(arrays, file)
    with pytest.raises(UserError, match=f"missing {gone}"):
        onto_mesh.load(directory, layout)


def test_what_is_asked_for_stays_in_its_16_bits(directory, layout):
    path = "decoder/layers/attention_q/kernel"
    wanted = flatten(model_directory.load_weights(directory)[1])
    found = flatten(onto_mesh.load(directory, layout, {path}))
    assert {name: leaf.dtype for name, leaf in found.items() if leaf.dtype != np.float32} == {
        path: jax.numpy.bfloat16
    }
    np.testing.assert_array_equal(found[path].astype(np.float32), wanted[path])
