"""The one mesh of a run: devices arranged along the axes `slice`, `data`, `fsdp` and `tensor`.

`slice` parts groups of devices that a slow network joins (slices of TPUs over DCN, groups of GPU
hosts): each has all parameters, and sends the others nothing but gradients. `data` copies the
parameters within a slice, `fsdp` splits them and gathers them layer by layer, `tensor` splits the
work of one layer. A batch is split over `slice`, `data` and `fsdp` together.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from fewvid.errors import UserError

AXES = ("slice", "data", "fsdp", "tensor")
ROWS = ("slice", "data", "fsdp")
HEADS = "tensor"
BATCH = P(ROWS)


def make_mesh(
    data: int = -1,
    fsdp: int = 1,
    tensor: int = 1,
    devices: Sequence[Any] | None = None,
    slices: int = 1,
) -> Mesh:
    """Arranges `devices` (default: all there are); one axis of -1 takes what the others leave.

    Raises UserError where the sizes do not multiply to the number of devices, or `slices` is not
    how many slices they are of.
    """
    devices = jax.devices() if devices is None else list(devices)
    sizes = {"slice": slices, "data": data, "fsdp": fsdp, "tensor": tensor}
    said = "mesh " + said_of(sizes)
    if list(sizes.values()).count(-1) > 1 or any(s != -1 and s < 1 for s in sizes.values()):
        raise UserError(f"{said}: each size must be at least 1, and one may be -1 (the rest)")
    fixed = math.prod(size for size in sizes.values() if size != -1)
    sizes = {a: len(devices) // fixed if size == -1 else size for a, size in sizes.items()}
    if math.prod(sizes.values()) != len(devices):
        raise UserError(
            f"{said} does not fill {len(devices)} devices: the product must be {len(devices)}; "
            "change --config.mesh.data, .fsdp, .tensor or .slice (data=-1: the rest)"
        )
    _check_slices(said, sizes["slice"], devices)
    # Auto axes: the compiler places intermediates. jax.make_mesh has come to default to Explicit,
    # where every gather and reshape needs a sharding of its own.
    auto = (AxisType.Auto,) * len(AXES)
    return Mesh(_arranged(tuple(sizes.values()), devices), AXES, axis_types=auto)


def said_of(sizes: dict[str, int], join: str = ", ") -> str:
    """ "data=2, fsdp=4, tensor=1", and in front how many slices there are, if there are several."""
    return join.join(f"{a}={size}" for a, size in sizes.items() if a != "slice" or size != 1)


def _check_slices(said: str, slices: int, devices: Sequence[Any]) -> None:
    """Raises UserError where a slice of the mesh would not be one of the devices."""
    if devices[0].platform == "tpu":
        there = Counter(getattr(device, "slice_index", 0) for device in devices)
        if len(there) != slices:
            raise UserError(
                f"{said} has slice={slices}, and these {len(devices)} TPU devices are of "
                f"{len(there)} slice{'s' * (len(there) > 1)}: give --config.mesh.slice={len(there)}"
            )
        if len(set(there.values())) > 1:
            each = ", ".join(str(count) for _, count in sorted(there.items()))
            raise UserError(f"{said}: its slices have {each} devices, wanted as many in each")
        return
    hosts = Counter(device.process_index for device in devices)
    size = len(devices) // slices
    if any(size % count and count % size for count in hosts.values()):
        raise UserError(
            f"{said} has {slices} slices of {size} devices, which cut the {len(hosts)} processes "
            f"of {max(hosts.values())} unevenly: each must be of whole processes; "
            "change --config.mesh.slice"
        )


def _arranged(sizes: tuple[int, ...], devices: Sequence[Any]) -> np.ndarray:
    """Devices [slice, data, fsdp, tensor]: those of one slice side by side, and on TPU each axis
    along sides of the slice's torus.
    """
    slices, *inside = sizes
    if devices[0].platform != "tpu":
        # Processes of a host have neighbouring numbers, under srun and under our launcher.
        ordered = sorted(devices, key=lambda device: (device.process_index, device.id))
        return np.array(ordered, object).reshape(sizes)
    if slices == 1:
        arrange = partial(mesh_utils.create_device_mesh, sizes, devices)
    else:
        across = (slices, 1, 1, 1)
        arrange = partial(mesh_utils.create_hybrid_device_mesh, (1, *inside), across, devices)
    try:
        return arrange(allow_split_physical_axes=False)
    except NotImplementedError:  # no sides multiply to these sizes: an axis takes a part of one
        return arrange(allow_split_physical_axes=True)


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Rows split over `slice`, `data` and `fsdp`; every other dimension whole."""
    return NamedSharding(mesh, BATCH)


def replicated(mesh: Mesh) -> NamedSharding:
    """A whole copy on every device."""
    return NamedSharding(mesh, P())


def batch_rows(mesh: Mesh) -> int:
    """The number that a batch size must be a multiple of on this mesh."""
    return math.prod(mesh.shape[axis] for axis in ROWS)


def rows_said(mesh: Mesh) -> str:
    """What a batch is split over, for messages: "data=2 x fsdp=4", and slices if there are any."""
    return said_of({axis: mesh.shape[axis] for axis in ROWS}, " x ")


def rows_here(mesh: Mesh, batch_size: int) -> list[int]:
    """Which rows of a global batch the devices of this process hold, ascending.

    All of them on one host; on several, hosts that `tensor` parts hold the same rows.
    """
    held = batch_sharding(mesh).addressable_devices_indices_map((batch_size,)).values()
    return sorted({row for at in held if at for row in range(*at[0].indices(batch_size))})


def copied(mesh: Mesh, tree: Any) -> Any:
    """Arrays that every process has, whole onto every device."""
    if jax.process_count() == 1:
        return jax.device_put(tree, replicated(mesh))
    return jax.tree.map(
        lambda leaf: jax.make_array_from_callback(
            leaf.shape, replicated(mesh), lambda index: leaf[index]
        ),
        tree,
    )
