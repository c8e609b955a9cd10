"""Safetensors piece by piece, beside the library that defines the format."""

import json

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from fewvid.checkpoints.tensors import Tensor, TensorFiles, write
from fewvid.errors import UserError


def pieces(array, count):
    return Tensor(array.shape, array.dtype, lambda: iter(np.array_split(array, count)))


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {
        "a": rng.normal(size=(3, 5)).astype(ml_dtypes.bfloat16),
        "b": rng.normal(size=(6, 2, 2)).astype(np.float32),
        "c": rng.integers(0, 9, (7,)),
        "d": rng.normal(size=(1, 4)).astype(np.float16),
        "turned": rng.normal(size=(4, 3)).astype(np.float32).T,
    }


@pytest.mark.parametrize("shard_bytes", [2**20, 60])
def test_what_is_written_in_pieces_is_read_by_safetensors(arrays, tmp_path, shard_bytes):
    tensors = {name: pieces(array, 3) for name, array in arrays.items()}
    write(tmp_path, tensors, shard_bytes=shard_bytes)
    files = sorted(tmp_path.glob("*.safetensors"))
    assert len(files) == (1 if shard_bytes > 60 else 4)  # the two smallest share one
    found = {}
    for file in files:
        found |= load_file(file)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    if len(files) > 1:
        index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
        assert index["metadata"]["total_size"] == sum(a.nbytes for a in arrays.values())
        assert index["weight_map"].keys() == arrays.keys()
    ours = TensorFiles(tmp_path)
    for index in ((slice(4, 5),), (slice(None), slice(1, 2), slice(None)), ()):
        np.testing.assert_array_equal(ours.part("b", index), arrays["b"][index])
    assert {n: (t.shape, t.dtype) for n, t in ours.items()} == {
        n: (a.shape, a.dtype) for n, a in arrays.items()
    }


def test_pieces_that_are_too_few_are_a_fault(tmp_path):
    short = Tensor((4, 2), np.dtype(np.float32), lambda: iter((np.zeros((3, 2), np.float32),)))
    with pytest.raises(ValueError, match="a: 24 bytes came of 32"):
        write(tmp_path, {"a": short}, shard_bytes=100)


def test_what_cannot_be_read_is_said(arrays, tmp_path):
    with pytest.raises(UserError, match=r"has no model\.safetensors"):
        TensorFiles(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(UserError, match=r"pytorch_model\.bin, which is a pickle.*save_pretrained"):
        TensorFiles(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\x00" * 40)
    with pytest.raises(UserError, match=r"model\.safetensors is damaged"):
        TensorFiles(tmp_path)
    save_file({"b": arrays["b"]}, tmp_path / "model-1.safetensors")
    where = {"weight_map": {"b": "model-1.safetensors", "c": "model-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(where))
    with pytest.raises(UserError, match=r"lacks model-2\.safetensors"):
        TensorFiles(tmp_path)
