"""The one loop over the tables: what does not fit is all said at once, and nothing is dropped."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from fewvid.checkpoints.mapping import PATCHES, Layout, Row, dense, norm, read, write_names
from fewvid.checkpoints.tensors import TensorFiles, write
from fewvid.errors import UserError

ROWS = (
    *dense("encoder.layers.{i}.fc", "layers/mlp_in"),
    *norm("encoder.norm", "norm"),
    Row("encoder.patch.weight", "patch/kernel", PATCHES),
)
LAYOUT = Layout(((r"(tower\.)?", "encoder."),), (r"encoder\.unread",))
WANTED = {
    "layers/mlp_in/kernel": (2, 3, 5),
    "layers/mlp_in/bias": (2, 5),
    "norm/scale": (3,),
    "patch/kernel": (12, 3),
}


@pytest.fixture
def theirs():
    rng = np.random.default_rng(0)
    shapes = {f"tower.layers.{i}.fc.weight": (5, 3) for i in range(2)}
    shapes |= {f"tower.layers.{i}.fc.bias": (5,) for i in range(2)}
    shapes |= {"tower.norm.weight": (3,), "tower.patch.weight": (3, 3, 2, 2), "unread": (1,)}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def found(tmp_path, arrays):
    save_file(arrays, tmp_path / "model.safetensors")
    return read(TensorFiles(tmp_path), ROWS, LAYOUT, WANTED)


def test_arrays_are_stacked_and_turned(theirs, tmp_path):
    tensors = found(tmp_path, theirs)
    ours = {path: np.concatenate([*tensor.pieces()]) for path, tensor in tensors.items()}
    assert {path: array.shape for path, array in ours.items()} == WANTED
    for i in range(2):
        wanted = theirs[f"tower.layers.{i}.fc.weight"].T
        np.testing.assert_array_equal(ours["layers/mlp_in/kernel"][i], wanted)
    # a patch as the encoder cuts it, [p,p,3] in this order, against the sum that a convolution is
    pixels = np.random.default_rng(1).normal(size=(2, 2, 3))
    wanted = np.einsum("dcij,ijc->d", theirs["tower.patch.weight"], pixels)
    np.testing.assert_allclose(pixels.ravel() @ ours["patch/kernel"], wanted, rtol=1e-5)


def test_out_again_is_bit_for_bit(theirs, tmp_path):
    (tmp_path / "ours").mkdir()
    write(tmp_path / "ours", found(tmp_path, theirs), shard_bytes=2**20)
    names = write_names(
        TensorFiles(tmp_path / "ours"), ROWS, lambda name: "tower." + name.removeprefix("encoder.")
    )
    assert names.keys() == theirs.keys() - {"unread"}
    for name, tensor in names.items():
        np.testing.assert_array_equal(np.concatenate([*tensor.pieces()]), theirs[name])


def test_all_that_does_not_fit_is_said_at_once(theirs, tmp_path):
    theirs["tower.layers.1.fc.wieght"] = theirs.pop("tower.layers.1.fc.weight")
    theirs["tower.norm.weight"] = np.zeros(4, np.float32)
    theirs["tower.layers.2.fc.bias"] = np.zeros(5, np.float32)
    with pytest.raises(UserError) as error:
        found(tmp_path, theirs)
    for said in (
        "4 problems",
        "missing encoder.layers.1.fc.weight (for layers/mlp_in/kernel). "
        "Did you mean 'encoder.layers.1.fc.wieght'?",
        "tower.norm.weight is [4], wanted [3]",
        "encoder.layers.1.fc.wieght is not used",
        "encoder.layers.2.fc.bias is not used",
    ):
        assert said in str(error.value)


def test_a_parameter_that_no_row_fills_is_named(theirs, tmp_path):
    save_file(theirs, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="no row of the table fills extra"):
        read(TensorFiles(tmp_path), ROWS, LAYOUT, WANTED | {"extra": (1,)})


def test_two_names_for_one_array_are_told_apart(theirs, tmp_path):
    theirs["norm.weight"] = theirs["tower.norm.weight"]
    with pytest.raises(UserError, match=r"norm\.weight and tower\.norm\.weight are both"):
        found(tmp_path, theirs)
