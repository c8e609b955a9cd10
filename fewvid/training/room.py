"""Whether the disk has room for a run, asked before its first step rather than at its hundredth.

What a run writes follows from shapes: the model it starts from, one after each stage and the
result; of the stage in progress the checkpoints that are kept and the one being written.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from fewvid.errors import UserError
from fewvid.training import lora
from fewvid.training import trainable as subtree
from fewvid.training.checkpoints import KEEP
from fewvid.training.optimizer import make_optimizer
from fewvid.training.plan import StagePlan

WRITTEN = ("start", "stages", "checkpoints", "model")


def check_room(workdir: Path, params: Mapping[str, Any], plans: Sequence[StagePlan]) -> None:
    """Raises UserError, with the numbers, where a run cannot fit on the disk of `workdir`.

    params: shapes of the whole model. What the run has written already is counted in.
    """
    model = _bytes(params)
    saved = max(checkpoint_bytes(params, plan) * _kept(plan) for plan in plans)
    needed = model * (len(plans) + 2) + saved
    there = sum(_size(workdir / name) for name in WRITTEN)
    free = shutil.disk_usage(workdir).free
    if needed - there > free:
        raise UserError(
            f"--workdir {workdir}: the run writes {_gib(needed)} ({len(plans) + 2} models of "
            f"{_gib(model)} and checkpoints of {_gib(saved)}), of which {_gib(there)} are there, "
            f"and its disk has {_gib(free)} free; make room or take a --workdir elsewhere"
        )


def check_scratch(scratch: Path, params: Mapping[str, Any]) -> None:
    """Raises UserError where the two models do not fit that a run in a bucket has on a machine."""
    needed, free = 2 * _bytes(params), shutil.disk_usage(scratch).free
    if needed > free:
        raise UserError(
            f"{scratch.parent} has {_gib(free)} free, and a run whose --workdir is in a bucket has "
            f"two models on each machine, {_gib(needed)}; make room or set TMPDIR to another disk"
        )


def checkpoint_bytes(params: Mapping[str, Any], plan: StagePlan) -> int:
    """What one checkpoint of a stage holds: what trains and the state of its optimizer."""
    stage = plan.stage
    grown = lora.grown(params, stage.lora)
    moving, _ = subtree.abstract_split(grown, plan.trainable)
    moments = jax.eval_shape(make_optimizer(stage.optimizer, stage.steps).init, moving)
    return _bytes(moving) + _bytes(moments)


def _kept(plan: StagePlan) -> int:
    """How many checkpoints of a stage are there at once: those kept, and one in the making."""
    return max(1, min(KEEP + 1, (plan.stage.steps - 1) // plan.stage.checkpoint_every))


def _bytes(tree: Any) -> int:
    leaves: Iterable[Any] = jax.tree.leaves(tree)
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in leaves)


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _gib(count: int) -> str:
    return f"{count / 2**30:.3g} GiB"
