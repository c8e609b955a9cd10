"""What a stage will need and how long it will take on chips that need not be there.

compiled program (`ahead`), or formulas (`by_formula`) --> memory and links of a chip
shapes (`work`) --> operations and memory traffic --> `parallel.roofline` --> seconds, a day's work
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
from jax.sharding import Mesh

from fewvid.models import lvlm
from fewvid.models.config import LvlmConfig
from fewvid.parallel import roofline
from fewvid.parallel.ahead import Compiled, compiled
from fewvid.parallel.collectives import Sent, sent
from fewvid.parallel.topology import Topology
from fewvid.training import ahead, by_formula, lora, work
from fewvid.training import trainable as subtree
from fewvid.training.plan import StagePlan
from fewvid.training.stage import RunConfig


@dataclass(frozen=True)
class Forecast:
    """Of one stage. Bytes are of one device, operations of a step over all chips.

    hbm: bytes of a device, None where it has no data sheet; advice: what to change where it does
    not fit, "" where it does; a_day: {tokens, frames, videos} (best and apart of `Estimate`).
    """

    stage: str
    rows: int
    accumulate: int
    length: int
    frames: int
    keep: int
    steps: int
    held: ahead.Held
    temporaries: int
    hbm: int | None
    refused: str
    advice: str
    parts: dict[str, work.Work]
    links: dict[str, Sent]
    estimate: roofline.Estimate | None
    a_day: dict[str, tuple[float, float]]
    hours: tuple[float, float] | None
    compile_seconds: float | None

    @property
    def fits(self) -> bool:
        """Whether it fits a device, as far as can be known."""
        return not self.advice

    def to_dict(self) -> dict[str, Any]:
        """Plain nested dicts, ready for JSON."""
        return dataclasses.asdict(self) | {"fits": self.fits}


def forecast(
    plan: StagePlan,
    run: RunConfig,
    model: LvlmConfig,
    topology: Topology,
    mesh: Mesh,
    report: Callable[[str], None],
) -> Forecast:
    """Of one stage on the mesh over the topology's devices. report: takes what cannot be split."""
    stage = ahead.prepare(plan, run, model, mesh, report)
    sides = dict(mesh.shape)
    shapes = jax.eval_shape(partial(lvlm.init, model), jax.random.key(0))
    counted = subtree.count(lora.grown(shapes, plan.stage.lora), plan.trainable)
    updated = stage.held.trained // 4
    seconds = None
    if topology.platform == "gpu":
        held = by_formula.temporaries(plan, run, model, sides, updated, "gpu")
        made, links = Compiled("", held), by_formula.links(plan, run, model, sides, counted)
    else:
        begun = time.perf_counter()
        made = compiled(stage.program.step.trace(*stage.arguments), topology.platform)
        seconds = time.perf_counter() - begun
        links = sent(made.text, sides["slice"], mesh.size) if made.text else {}
    parts = work.of_step(plan, run, model, topology.platform)
    a_chip = mesh.size / topology.chips  # devices: two on v4, one elsewhere
    hbm = int(topology.chip.hbm / a_chip) if topology.chip else None
    estimate, days, hours = None, {}, None
    shape = plan.shape
    if topology.chip and not made.refused:
        whole = sum(count for _, count in counted.values()) // sides["tensor"]
        moved = work.weights_moved(plan, run, whole, updated) * a_chip
        load = roofline.Load(
            useful=sum(part.useful for part in parts.values()) / topology.chips,
            done=sum(part.done for part in parts.values()) / topology.chips,
            memory=sum(part.memory for part in parts.values()) / topology.chips + moved,
            links=sum(each.bytes - each.dcn for each in links.values()) * a_chip,
            dcn=sum(each.dcn for each in links.values()) * a_chip,
        )
        estimate = roofline.estimate(load, topology.chip)
        both = (estimate.best, estimate.apart)
        of_step = {
            "tokens": shape.batch_size * shape.length,
            "frames": shape.batch_size * shape.frames,
            "videos" if shape.frames > 1 else "pictures": shape.batch_size,
        }
        days = {
            name: (roofline.a_day(amount, both[0]), roofline.a_day(amount, both[1]))
            for name, amount in of_step.items()
        }
        hours = (plan.stage.steps * both[0] / 3600, plan.stage.steps * both[1] / 3600)
    return Forecast(
        stage=plan.stage.name,
        rows=shape.batch_size,
        accumulate=plan.stage.accumulate,
        length=shape.length,
        frames=shape.frames,
        keep=plan.keeps[-1],
        steps=plan.stage.steps,
        held=stage.held,
        temporaries=made.temporaries,
        hbm=hbm,
        refused=made.refused,
        advice=_advice(plan, run, sides, stage.held, made, hbm),
        parts=parts,
        links=links,
        estimate=estimate,
        a_day=days,
        hours=hours,
        compile_seconds=seconds,
    )


def _advice(
    plan: StagePlan,
    run: RunConfig,
    sides: dict[str, int],
    held: ahead.Held,
    made: Compiled,
    hbm: int | None,
) -> str:
    """What to change first where a step does not fit; "" where it does."""
    if hbm is None or (not made.refused and held.total + made.temporaries <= hbm):
        return ""
    over = sides["slice"] * sides["data"] * sides["fsdp"]
    parts = plan.stage.accumulate
    rows = plan.shape.batch_size // (over * parts)
    if held.total > hbm / 2 and sides["data"] > 1:
        return "split what every data group keeps whole: --config.mesh.data=1 --config.mesh.fsdp=-1"
    if held.total > hbm / 2:
        return "what is kept between steps leaves too little room: take a slice of more chips"
    if run.remat != "full":
        return "keep less for the way back: --config.remat=full"
    if rows > 1:
        one = next(parts for parts in range(2, rows + 1) if rows % parts == 0)
        where = f"--config.stages[{plan.index}].accumulate={parts * one}"
        return f"{rows} rows a chip at once are too many: '{where}', or a slice of more chips"
    return (
        "one row a chip is too much: split its work by --config.mesh.tensor=2, or give it fewer "
        f"frames ('--config.stages[{plan.index}].frames={max(plan.shape.frames // 2, 1)}')"
    )
