"""The compiled programs of a stage: what the loop runs, and what is planned for other chips."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from fewvid.data import resident
from fewvid.data.narrow import narrow
from fewvid.models import low_rank, lvlm
from fewvid.models.config import LvlmConfig, visual_tokens_per_frame
from fewvid.parallel.mesh import batch_sharding, replicated
from fewvid.training import lora
from fewvid.training.optimizer import make_optimizer, schedule
from fewvid.training.plan import StagePlan
from fewvid.training.stage import RunConfig
from fewvid.training.step import Program, make_program
from fewvid.training.trainable import frozen_layers


def stage_programs(
    plan: StagePlan,
    run: RunConfig,
    model: LvlmConfig,
    params: Mapping[str, Any],
    layout: Mapping[str, Any],
    visual_id: int,
    mesh: Mesh,
) -> dict[int, Program]:
    """A program for each K that the stage's steps may have; they differ in their step alone.

    params: the whole tree (`lora.grown`), or its shapes; layout: its shardings; visual_id: of a
    placeholder.
    """
    stage = plan.stage
    rows = batch_sharding(mesh)
    table = {"row": rows, "table": replicated(mesh)} if stage.resident else None
    return {
        keep: make_program(
            partial(_loss, model, plan, run, keep, visual_id),
            make_optimizer(stage.optimizer, stage.steps),
            params,
            layout,
            plan.trainable,
            mesh,
            rate=schedule(stage.optimizer, stage.steps),
            batch_layout=table,
            accumulate=stage.accumulate,
            spike=stage.spike,
        )
        for keep in plan.keeps
    }


def _loss(
    model: LvlmConfig,
    plan: StagePlan,
    run: RunConfig,
    keep: int,
    visual_id: int,
    params: Any,
    batch: Any,
    rng: jax.Array,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    if "table" in batch:
        batch = resident.gather(batch["table"], batch["row"])
    params = low_rank.scaled(params, lora.factor(plan.stage.lora))
    read = visual_tokens_per_frame(model, keep)
    batch = narrow(batch, plan.shape, read, visual_id)
    options: Any = {"keep": keep, "sampler": plan.stage.sampler, "visual_id": visual_id}
    options |= {"dtype": jnp.dtype(run.compute_dtype), "remat": run.remat}
    options["packed"] = plan.stage.questions > 1
    options["frozen_layers"] = frozen_layers(plan.trainable, "encoder")
    value, metrics = lvlm.loss(model, params, batch, rng=rng, **options)
    return value, metrics | {"keep": jnp.float32(keep)}
