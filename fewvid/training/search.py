"""Which mesh, how many rows a device and what remat: all that formulas say fit, the best first.

Nothing is compiled here, so hundreds of settings take a second; the one that is chosen is then
planned by itself, which compiles it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fewvid.models import remat
from fewvid.models.config import LvlmConfig
from fewvid.parallel import roofline
from fewvid.parallel.topology import Topology
from fewvid.training import by_formula, work
from fewvid.training.plan import StagePlan
from fewvid.training.stage import RunConfig

ROWS = (1, 2, 4, 8, 16, 32, 64)
ROOM = 0.85  # of a device's memory: formulas are not exact, and a program needs some of its own
# Bytes of a weight that trains: it and its moments, float32. Those of Adafactor are next to none;
# what Muon leaves to AdamW is taken for its own.
STATE = {"adamw": 3 * 4, "muon": 2 * 4, "adafactor": 1 * 4}


@dataclass(frozen=True)
class Setting:
    """mesh: sizes of its axes; rows: a device's group has at once; bytes: of one device, by
    formula; seconds and mfu: of a step in which nothing overlaps.
    """

    mesh: Mapping[str, int]
    rows: int
    remat: str
    batch_size: int
    bytes: int
    seconds: float
    mfu: float

    @property
    def rate(self) -> float:
        """Rows a second, by all devices."""
        return self.batch_size / self.seconds

    def flags(self, stage: int) -> str:
        """What to add to the command to plan or train so."""
        axes = " ".join(
            f"--config.mesh.{axis}={size}"
            for axis, size in self.mesh.items()
            if axis != "slice" or size > 1
        )
        size = f"'--config.stages[{stage}].batch_size={self.batch_size}'"
        return f"{axes} --config.remat={self.remat} {size}"


def search(
    plan: StagePlan,
    run: RunConfig,
    model: LvlmConfig,
    topology: Topology,
    devices: int,
    counted: Mapping[str, tuple[int, int]],
) -> list[Setting]:
    """Every setting of a stage that fits, by rows a second. counted: as `trainable.count` gives."""
    assert topology.chip is not None
    room = ROOM * topology.chip.hbm * topology.chips / devices
    found = []
    for mesh in meshes(devices, model, topology.slices):
        for rows in (rows for rows in ROWS if rows % plan.stage.accumulate == 0):
            for name in remat.NAMES:
                one = _setting(plan, run, model, topology, mesh, rows, name, counted)
                if one.bytes <= room:
                    found.append(one)
    return sorted(found, key=lambda one: (-one.rate, one.bytes))


def meshes(devices: int, model: LvlmConfig, slices: int = 1) -> Iterator[dict[str, int]]:
    """Every mesh whose tensor axis divides the heads, and whose sizes but one are powers of 2.

    Of several slices each has the same, so that only gradients go from one to another.
    """
    tensor, devices = 1, devices // slices
    while devices % tensor == 0 and model.decoder.kv_heads % tensor == 0:
        data = 1
        while (devices // tensor) % data == 0:
            inside = {"data": data, "fsdp": devices // tensor // data, "tensor": tensor}
            yield {"slice": slices} | inside
            data *= 2
        tensor *= 2


def _setting(
    plan: StagePlan,
    run: RunConfig,
    model: LvlmConfig,
    topology: Topology,
    mesh: Mapping[str, int],
    rows: int,
    name: str,
    counted: Mapping[str, tuple[int, int]],
) -> Setting:
    chip = topology.chip
    assert chip is not None
    size = rows * mesh["slice"] * mesh["data"] * mesh["fsdp"]
    shape = dataclasses.replace(plan.shape, batch_size=size)
    plan, run = dataclasses.replace(plan, shape=shape), dataclasses.replace(run, remat=name)
    split = mesh["fsdp"] * mesh["tensor"]
    moving, whole = (sum(each[i] for each in counted.values()) for i in (0, 1))
    held = (STATE[plan.stage.optimizer.name] * moving + 4 * (whole - moving)) // split
    held += rows * shape.frames * shape.image_size**2 * 3
    needed = by_formula.temporaries(plan, run, model, mesh, moving // split, topology.platform)
    links = by_formula.links(plan, run, model, mesh, counted)
    moved = work.weights_moved(plan, run, whole // mesh["tensor"], moving // split)
    parts = work.of_step(plan, run, model, topology.platform).values()
    a_chip = mesh["slice"] * mesh["data"] * split / topology.chips
    at = roofline.estimate(
        roofline.Load(
            useful=sum(part.useful for part in parts) / topology.chips,
            done=sum(part.done for part in parts) / topology.chips,
            memory=sum(part.memory for part in parts) / topology.chips + moved * a_chip,
            links=sum(each.bytes - each.dcn for each in links.values()) * a_chip,
            dcn=sum(each.dcn for each in links.values()) * a_chip,
        ),
        chip,
    )
    return Setting(mesh, rows, name, size, held + needed, at.apart, at.mfu_apart)
