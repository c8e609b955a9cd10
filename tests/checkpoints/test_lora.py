"""LoRA in a model directory: read with the sum, merged for good, taken away again bit for bit."""

import hashlib

import jax
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from fewvid.__main__ import main
from fewvid.checkpoints import lora, model_directory, onto_mesh
from fewvid.checkpoints.tensors import TensorFiles
from fewvid.errors import UserError
from fewvid.models import low_rank, lvlm
from fewvid.models.config import LvlmConfig
from fewvid.parallel.mesh import make_mesh
from fewvid.parallel.paths import flatten, unflatten
from fewvid.parallel.sharding import shardings

CONFIG = LvlmConfig.tiny()
SHAPES = jax.eval_shape(lambda: lvlm.init(CONFIG, jax.random.key(0)))
STACKED, FLAT = "decoder/layers/mlp_in/kernel", "adapter/project/kernel"
ALPHA, RANK = 6.0, 4


def drawn():
    rng = np.random.default_rng(0)
    flat = {
        path: rng.normal(size=leaf.shape).astype(np.float32)
        for path, leaf in flatten(SHAPES).items()
    }
    for path in (STACKED, FLAT):
        *depth, rows, columns = flat[path].shape
        a, b = low_rank.names(path)
        flat[a] = rng.normal(size=(*depth, rows, RANK)).astype(np.float32)
        flat[b] = rng.normal(size=(*depth, RANK, columns)).astype(np.float32)
    return flat


@pytest.fixture
def directory(tmp_path, tokenizer):
    return model_directory.save(
        tmp_path / "model",
        config=CONFIG,
        params=unflatten(drawn()),
        tokenizer=tokenizer,
        card="",
        frames=5,
        dtype="bfloat16",
        alpha=ALPHA,
        shard_bytes=40_000,
    )


def digests(folder):
    return {name: hashlib.sha256(array).digest() for name, array in everything(folder).items()}


def everything(folder):
    files = TensorFiles(folder)
    return {name: b"".join(p.tobytes() for p in files[name].pieces()) for name in files}


def test_it_is_read_with_the_sum(directory):
    made = drawn()
    with safe_open(str(directory / lora.FILE), framework="np") as handle:
        assert handle.metadata() == {"format": "np", "rank": "4", "alpha": "6.0"}
        assert len(handle.keys()) == 4
    found = flatten(model_directory.load_weights(directory)[1])
    assert found.keys() == flatten(SHAPES).keys()
    half = TensorFiles(directory)
    for path, value in found.items():
        stored = np.concatenate([*half[path].pieces()]).astype(np.float32)
        if path in (STACKED, FLAT):
            a, b = low_rank.names(path)
            stored = stored + ALPHA / RANK * made[a] @ made[b]
        np.testing.assert_allclose(value, stored, rtol=1e-5, atol=1e-5, err_msg=path)
    layout = shardings(make_mesh(2, 2, 2), SHAPES)
    for path, value in flatten(onto_mesh.load(directory, layout)).items():
        np.testing.assert_allclose(value, found[path], rtol=1e-5, atol=1e-5, err_msg=path)


def test_merged_for_good_and_taken_away_again(directory, tmp_path, capsys):
    merged, base = tmp_path / "merged", tmp_path / "base"
    assert main(["convert", "merge", str(directory), "--out", str(merged)]) == 0
    assert main(["convert", "unmerge", str(directory), "--out", str(base)]) == 0
    assert "2 matrices with LoRA of rank 4, alpha 6" in capsys.readouterr().out
    assert not (merged / lora.FILE).exists()
    assert not (base / lora.FILE).exists()
    assert model_directory.read_frames(merged) == 5
    wanted = flatten(model_directory.load_weights(directory)[1])
    found = flatten(model_directory.load_weights(merged)[1])
    for path, value in wanted.items():
        np.testing.assert_array_equal(found[path], value, err_msg=path)
    assert digests(base) == digests(directory)
    kept = model_directory.copy(directory, tmp_path / "kept", card="", of_lora="keep")
    assert digests(kept) == digests(directory)
    assert (kept / lora.FILE).read_bytes() == (directory / lora.FILE).read_bytes()
    assert main(["convert", "merge", str(base), "--out", str(tmp_path / "x")]) == 2
    assert "has no lora.safetensors: there is nothing to merge" in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["bytes", "metadata", "half", "shape"])
def test_what_is_damaged_is_said(directory, damage):
    file = directory / lora.FILE
    arrays, said = load_file(file), {"rank": "4", "alpha": "6"}
    a, _ = low_rank.names(STACKED)
    if damage == "bytes":
        file.write_bytes(file.read_bytes()[:-5])
    elif damage == "metadata":
        save_file(arrays, file)
    else:
        value = arrays.pop(a)
        if damage == "shape":
            arrays[a] = np.ascontiguousarray(value[:, 1:])
        save_file(arrays, file, metadata=said)
    message = "is damaged" if damage in ("bytes", "metadata") else f"rank 4 and has {STACKED}"
    for read in (model_directory.load_weights, lora.ModelFiles):
        with pytest.raises(UserError, match=message):
            read(directory)
