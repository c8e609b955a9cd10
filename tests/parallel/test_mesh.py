"""The mesh: sizes that fit, sizes that do not, the axis types, slices side by side."""

from dataclasses import dataclass

import jax
import numpy as np
import pytest
from jax.sharding import AxisType

from fewvid.errors import UserError
from fewvid.parallel.mesh import batch_rows, batch_sharding, make_mesh, rows_said


def test_minus_one_takes_the_rest():
    mesh = make_mesh(-1, 2, 2)
    assert dict(mesh.shape) == {"slice": 1, "data": 2, "fsdp": 2, "tensor": 2}
    assert mesh.axis_types == (AxisType.Auto,) * 4
    assert batch_rows(mesh) == 4
    assert rows_said(mesh) == "data=2 x fsdp=2"


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


def test_the_devices_of_a_slice_are_neighbours_and_rows_are_split_over_slices_first():
    mesh = make_mesh(-1, 2, 1, slices=2)
    assert dict(mesh.shape) == {"slice": 2, "data": 2, "fsdp": 2, "tensor": 1}
    assert mesh.devices[0].flatten().tolist() == jax.devices()[:4]
    assert batch_rows(mesh) == 8
    assert rows_said(mesh) == "slice=2 x data=2 x fsdp=2"
    held = batch_sharding(mesh).devices_indices_map((8,))
    assert [held[device][0].start or 0 for device in jax.devices()] == list(range(8))
    assert make_mesh(1, 4, 1, slices=-1).shape["slice"] == 2


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((-1, 1, 1, 3), "mesh slice=3, data=-1, .* does not fill 8 devices.*or .slice"),
        ((1, 8, 1, 2), "mesh slice=2, data=1, fsdp=8, tensor=1 does not fill 8"),
        ((-1, 1, 1, -1), "slice=-1, data=-1.* one may be -1"),
        ((1, 8, 1, 0), "slice=0.* at least 1"),
    ],
)
def test_slices_that_do_not_fit(sizes, message):
    data, fsdp, tensor, slices = sizes
    with pytest.raises(UserError, match=message):
        make_mesh(data, fsdp, tensor, slices=slices)


@dataclass(frozen=True)
class Device:
    """As much of one as a mesh is made by."""

    id: int
    process_index: int
    platform: str = "tpu"
    device_kind: str = "TPU v5 lite"
    slice_index: int = 0
    coords: tuple[int, int, int] = (0, 0, 0)
    core_on_chip: int = 0


def tpus(*sizes):
    """Slices of 2 by size/2 chips, four a host, dealt out as a runtime might: mixed up."""
    made = [
        Device(100_000 * (index + 1) + at, at // 4, slice_index=index, coords=(at % 2, at // 2, 0))
        for index, size in enumerate(sizes)
        for at in range(size)
    ]
    return [made[at] for at in np.random.default_rng(0).permutation(len(made))]


def test_a_slice_of_tpus_is_a_slice_of_the_mesh():
    devices = make_mesh(1, 4, 2, tpus(8, 8), slices=2).devices
    assert devices.shape == (2, 1, 4, 2)
    assert [{d.slice_index for d in part.flat} for part in devices] == [{0}, {1}]
    for pair in devices.reshape(-1, 2):  # two chips of an axis have a link
        assert sum(abs(a - b) for a, b in zip(pair[0].coords, pair[1].coords, strict=True)) == 1


@pytest.mark.parametrize(
    ("devices", "slices", "message"),
    [
        (
            tpus(8, 8),
            1,
            "has slice=1, and these 16 TPU devices are of 2 slices: give --config.mesh",
        ),
        (tpus(8), 2, "has slice=2, and these 8 TPU devices are of 1 slice: give .*mesh.slice=1"),
        (tpus(4, 8), 2, "its slices have 4, 8 devices, wanted as many in each"),
    ],
)
def test_tpus_of_another_number_of_slices(devices, slices, message):
    with pytest.raises(UserError, match=message):
        make_mesh(-1, 1, 1, devices, slices)


def hosts(*sizes):
    ids = iter(range(100))
    return [Device(next(ids), host, "gpu") for host, size in enumerate(sizes) for _ in range(size)]


def test_hosts_of_gpus_are_taken_in_groups():
    devices = make_mesh(-1, 2, 1, hosts(2, 2, 2, 2)[::-1], slices=2).devices
    assert [sorted({d.process_index for d in part.flat}) for part in devices] == [[0, 1], [2, 3]]
    assert make_mesh(-1, 1, 1, hosts(4, 4), slices=4).devices.shape == (4, 2, 1, 1)
    with pytest.raises(UserError, match=r"3 slices of 4 devices, .* 2 processes of 6 .*whole"):
        make_mesh(-1, 1, 1, hosts(6, 6), slices=3)
