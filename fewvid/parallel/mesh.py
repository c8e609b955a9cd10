"""The one mesh of a run: devices arranged along the axes `data`, `fsdp` and `tensor`.

`data` copies the parameters, `fsdp` splits them and gathers them layer by layer, `tensor` splits
the work of one layer. A batch is split over `data` and `fsdp` together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from fewvid.errors import UserError

AXES = ("data", "fsdp", "tensor")
ROWS = ("data", "fsdp")
HEADS = "tensor"
BATCH = P(ROWS)


def make_mesh(
    data: int = -1, fsdp: int = 1, tensor: int = 1, devices: Sequence[Any] | None = None
) -> Mesh:
    """Arranges `devices` (default: all there are); one axis of -1 takes what the others leave.

    Raises UserError where the sizes do not multiply to the number of devices.
    """
    devices = jax.devices() if devices is None else list(devices)
    sizes = {"data": data, "fsdp": fsdp, "tensor": tensor}
    said = ", ".join(f"{axis}={size}" for axis, size in sizes.items())
    if list(sizes.values()).count(-1) > 1 or any(s != -1 and s < 1 for s in sizes.values()):
        raise UserError(f"mesh {said}: each size must be at least 1, and one may be -1 (the rest)")
    fixed = math.prod(size for size in sizes.values() if size != -1)
    sizes = {a: len(devices) // fixed if size == -1 else size for a, size in sizes.items()}
    if math.prod(sizes.values()) != len(devices):
        raise UserError(
            f"mesh {said} does not fill {len(devices)} devices: the product must be "
            f"{len(devices)}; change --config.mesh.data, .fsdp or .tensor (data=-1: the rest)"
        )
    # Auto axes: the compiler places intermediates. jax.make_mesh has come to default to Explicit,
    # where every gather and reshape needs a sharding of its own.
    auto = (AxisType.Auto,) * len(AXES)
    return jax.make_mesh(tuple(sizes.values()), AXES, axis_types=auto, devices=devices)


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Rows split over `data` and `fsdp`; every other dimension whole."""
    return NamedSharding(mesh, BATCH)


def replicated(mesh: Mesh) -> NamedSharding:
    """A whole copy on every device."""
    return NamedSharding(mesh, P())


def batch_rows(mesh: Mesh) -> int:
    """The number that a batch size must be a multiple of on this mesh."""
    return mesh.shape["data"] * mesh.shape["fsdp"]


def rows_here(mesh: Mesh, batch_size: int) -> list[int]:
    """Which rows of a global batch the devices of this process hold, ascending.

    All of them on one host; on several, hosts that an axis other than `data` and `fsdp` parts
    hold the same rows.
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
