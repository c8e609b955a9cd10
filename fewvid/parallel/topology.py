"""Chips that need not be there, by name: `v5e:16x16`, `cpu:8`, `gpu:h200x8`; `2xv5e:16x16` are two
slices of TPUs that DCN joins, `2xgpu:h200x8` two hosts of GPUs that a network joins.

A TPU slice is libtpu's to describe, which compiles for it on any machine; CPU devices are made up
by XLA; of GPUs there are the figures alone, as only a GPU compiles for a GPU.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from fewvid.errors import UserError, closest
from fewvid.parallel.chips import CHIPS, Chip

KINDS = {
    **{kind: f"{kind}:{shape}" for kind, shape in (("v4", "2x2x4"), ("v5e", "16x16"))},
    **{kind: f"{kind}:{shape}" for kind, shape in (("v5p", "4x4x8"), ("v6e", "16x16"))},
    "cpu": "cpu:8",
    "gpu": "gpu:h200x8",
}
GPUS = tuple(name for name in CHIPS if name not in KINDS)
# What libtpu has called its chips.
TPUS = {
    "v4": ("TPU v4",),
    "v5e": ("TPU v5 lite", "TPU v5e"),
    "v5p": ("TPU v5", "TPU v5p"),
    "v6e": ("TPU v6 lite", "TPU v6e"),
}
QUIET = {
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_STDERR_LOG_LEVEL": "3",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # no chip is touched, so two plans do not disturb each other
    "TF_CPP_MIN_LOG_LEVEL": "2",
}
SEVERAL = re.compile(r"([1-9]\d{0,3})x([a-z].*)")
MOST_CPUS = 4096
INSTALL = 'pip install "jax[tpu]=={version}"'


@dataclass(frozen=True)
class Topology:
    """chips of one kind, in all slices together. platform: tpu, cpu or gpu; chip: its figures, None
    where it has none.
    """

    name: str
    platform: str
    chips: int
    chip: Chip | None
    slices: int = 1


def find(name: str) -> Topology:
    """The topology of that name. Raises UserError that says which there are."""
    several = SEVERAL.fullmatch(name)
    if several is None:
        return _one(name)
    slices, one = int(several[1]), _one(several[2])
    if slices == 1:
        return one
    chips = slices * one.chips
    if one.platform == "cpu" and chips > MOST_CPUS:
        raise UserError(f"--topology {name} has {chips} devices, wanted {MOST_CPUS} at most")
    return dataclasses.replace(one, name=name, chips=chips, slices=slices)


def _one(name: str) -> Topology:
    kind, colon, shape = name.partition(":")
    if kind not in KINDS or not colon:
        raise UserError(
            f"--topology is {name!r}, wanted one such as {', '.join(KINDS.values())}, or "
            f"several slices as 2x{KINDS['v5e']}."
            f"{closest(kind, KINDS)}"
        )
    if kind == "cpu":
        return Topology(name, "cpu", _count(name, shape, MOST_CPUS), None)
    if kind == "gpu":
        model, _, count = shape.rpartition("x")
        if model not in GPUS:
            raise UserError(
                f"--topology is {name!r}, wanted a GPU of {', '.join(GPUS)} and how many of one "
                f"host, such as {KINDS['gpu']}.{closest(model, GPUS)}"
            )
        chip = CHIPS[model]
        return Topology(name, "gpu", _count(name, count, chip.largest), chip)
    sides = 3 if kind in ("v4", "v5p") else 2
    if not re.fullmatch(rf"[1-9]\d*(x[1-9]\d*){{{sides - 1}}}", shape):
        raise UserError(
            f"--topology is {name!r}, wanted {sides} sides of a {kind} slice, as {KINDS[kind]}"
        )
    chips = math.prod(map(int, shape.split("x")))
    if chips > CHIPS[kind].largest:
        raise UserError(
            f"--topology {name} has {chips} chips, and a pod of {kind} has {CHIPS[kind].largest}"
        )
    return Topology(name, "tpu", chips, CHIPS[kind])


def quiet() -> None:
    """Sets what keeps libtpu from looking for chips, and compilers from talking of it.

    To be called before jax is imported. What the user has set stays.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


def devices(topology: Topology) -> Sequence[Any]:
    """Its devices, to make a mesh of (two a chip on v4, one elsewhere).

    Raises UserError where this machine cannot describe them, or the slice does not exist.
    """
    return _tpu(topology) if topology.platform == "tpu" else _cpu(topology.chips)


def here(topology: Topology) -> Sequence[Any]:
    """As many of the devices of this machine as it has chips, which must be of its kind.

    Raises UserError where they are not here.
    """
    import jax

    if topology.platform == "cpu":
        return _cpu(topology.chips)
    found = jax.devices()
    kinds = sorted({device.device_kind for device in found})
    alike = [device for device in found if _is_of(topology, device)]
    if len(alike) < topology.chips or topology.slices > 1 or jax.process_count() > 1:
        raise UserError(
            f"--measure needs all of --topology {topology.name} ({topology.chips} x "
            f"{topology.name.split(':')[0]}) in one process, and here is {len(found)} x "
            f"{', '.join(kinds)}; name a topology of what is here, or leave --measure out"
        )
    return alike[: topology.chips]


def _is_of(topology: Topology, device: Any) -> bool:
    """Whether a device is a chip of this kind, by what its driver calls it."""
    kind = device.device_kind.lower().split()
    if topology.platform == "gpu":
        return device.platform == "gpu" and topology.name.split(":")[1].split("x")[0] in kind
    return device.platform == "tpu" and device.device_kind in TPUS[topology.name.split(":")[0]]


def check_slices(topology: Topology, slices: int) -> None:
    """Raises UserError where a mesh of so many slices is not one over the topology.

    CPU devices that are not named as several slices may be parted as one likes.
    """
    if slices != topology.slices and (topology.platform, topology.slices) != ("cpu", 1):
        has = "is one slice" if topology.slices == 1 else f"has {topology.slices} slices"
        raise UserError(
            f"--topology {topology.name} {has}, and the mesh has slice={slices}: give "
            f"--config.mesh.slice={topology.slices}, or name what has so many, as "
            f"2x{KINDS.get(topology.platform, KINDS['v5e'])}"
        )


def _tpu(topology: Topology) -> Sequence[Any]:
    import jax
    from jax.experimental import topologies

    of_one = _one(topology.name.partition("x")[2]) if topology.slices > 1 else topology
    if importlib.util.find_spec("libtpu") is None:
        raise UserError(
            f"--topology {topology.name} needs libtpu, which compiles for TPUs on any machine: "
            f"{INSTALL.format(version=jax.__version__)}"
        )
    try:
        found = topologies.get_topology_desc(
            platform="tpu", topology_name=of_one.name, num_slices=topology.slices
        )
    except RuntimeError as error:
        raise UserError(f"--topology {topology.name}: libtpu has no such slice: {error}") from None
    return found.devices


def _cpu(count: int) -> Sequence[Any]:
    import jax

    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        with suppress(RuntimeError):  # jax has begun: there are as many as there are
            jax.config.update("jax_num_cpu_devices", count)
    found = jax.devices("cpu")
    if len(found) < count:
        raise UserError(
            f"--topology cpu:{count}: this process has {len(found)} CPU devices already"
        )
    return found[:count]


def _count(name: str, text: str, most: int) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise UserError(f"--topology is {name!r}: the number of chips must be 1 to {most}")
    return int(text)
