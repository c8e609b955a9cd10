"""The step of a stage compiled for devices that need not be there: shapes in, a program out.

It is the step that the loop runs (`stage_programs`), lowered on shapes with shardings, so that
nothing of the model is ever allocated.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from fewvid.models import lvlm
from fewvid.models.config import LvlmConfig
from fewvid.parallel.ahead import bytes_of, shaped
from fewvid.parallel.mesh import batch_sharding
from fewvid.parallel.sharding import shardings
from fewvid.training import lora
from fewvid.training import trainable as subtree
from fewvid.training.plan import StagePlan
from fewvid.training.stage import RunConfig
from fewvid.training.stage_programs import stage_programs
from fewvid.training.step import Program

VISUAL_ID = 4  # any id does: a program is the same whatever stands for a picture


@dataclass(frozen=True)
class Held:
    """Bytes of one device between steps: what trains, what does not, the optimizer's, a batch."""

    trained: int
    frozen: int
    optimizer: int
    batch: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.trained + self.frozen + self.optimizer + self.batch


@dataclass(frozen=True)
class Stage:
    """The programs of a stage over a mesh, not compiled yet, and the shapes, with shardings, of
    what the step takes: (state, frozen, batch).
    """

    program: Program
    arguments: tuple[Any, Any, Any]
    held: Held


def prepare(
    plan: StagePlan, run: RunConfig, model: LvlmConfig, mesh: Mesh, report: Any = None
) -> Stage:
    """Describes the step of the stage's largest K. report: takes what cannot be split.

    Of data that stays on the devices (`resident`) it is the step that is fed from the host: how
    large such data are, shapes do not say.
    """
    plan = dataclasses.replace(plan, stage=dataclasses.replace(plan.stage, resident=False))
    params = jax.eval_shape(partial(lvlm.init, model), jax.random.key(0))
    params = lora.grown(params, plan.stage.lora)
    layout = shardings(mesh, params, **({"report": report} if report else {}))
    programs = stage_programs(plan, run, model, params, layout, VISUAL_ID, mesh)
    program = programs[plan.keeps[-1]]
    _, frozen = subtree.abstract_split(params, plan.trainable)
    frozen = jax.tree.map(shaped, frozen, program.frozen_layout)
    rows = batch_sharding(mesh)
    batch = {key: shaped(leaf, rows) for key, leaf in batch_of(plan, model).items()}
    state = program.abstract
    held = Held(*map(bytes_of, (state.trainable, frozen, state.optimizer, batch)))
    return Stage(program, (state, frozen, batch), held)


def batch_of(plan: StagePlan, model: LvlmConfig) -> dict[str, jax.ShapeDtypeStruct]:
    """The arrays of a batch of `data.loader`: of pixels, or of what was encoded before."""
    shape, e = plan.shape, model.encoder
    rows, frames, side = shape.batch_size, shape.frames, shape.image_size
    of = jax.ShapeDtypeStruct
    seen = {"pixels": of((rows, frames, side, side, 3), jnp.uint8)}
    if plan.stage.cache_features:
        seen = {
            "feature_tokens": of((rows, frames, e.tokens, e.width), jnp.float16),
            "feature_response": of((rows, frames, e.tokens), jnp.float32),
        }
    ids, answers = (rows, shape.length), (rows, shape.answers)
    return seen | {
        "times": of((rows, frames), jnp.float32),
        "frame_mask": of((rows, frames), jnp.bool_),
        **{key: of(ids, jnp.int32) for key in ("tokens", "segments", "positions")},
        **{key: of(answers, jnp.int32) for key in ("answer_positions", "answer_tokens")},
        "answer_weights": of(answers, jnp.float32),
        "sample": of((rows,), jnp.int32),
    }
