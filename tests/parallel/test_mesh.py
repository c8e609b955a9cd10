"""The mesh: sizes that fit, sizes that do not, the axis types."""

import jax
import pytest
from jax.sharding import AxisType

from fewvid.errors import UserError
from fewvid.parallel.mesh import batch_rows, make_mesh


def test_minus_one_takes_the_rest():
    mesh = make_mesh(-1, 2, 2)
    assert dict(mesh.shape) == {"data": 2, "fsdp": 2, "tensor": 2}
    assert mesh.axis_types == (AxisType.Auto,) * 3
    assert batch_rows(mesh) == 4


def test_one_device():
    assert make_mesh(devices=jax.devices()[:1]).size == 1


@pytest.mark.parametrize("sizes", [(3, 1, 1), (-1, 3, 1), (2, 2, 1), (16, 1, 1)])
def test_sizes_that_do_not_fill_the_devices(sizes):
    with pytest.raises(UserError, match=r"8 devices.*--config\.mesh"):
        make_mesh(*sizes)


@pytest.mark.parametrize("sizes", [(-1, -1, 1), (0, 1, 1), (-2, 1, 1)])
def test_sizes_that_mean_nothing(sizes):
    with pytest.raises(UserError, match="at least 1"):
        make_mesh(*sizes)
