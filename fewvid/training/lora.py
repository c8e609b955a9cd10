"""LoRA of a stage: which matrices have an A and a B, and what these begin as.

A stage with LoRA has a larger tree of parameters than its model: A and B are leaves of it beside
their kernels (see `models.low_rank`), so that sharding, training, counting and checkpoints see
nothing but parameters of which some train.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from fewvid.errors import UserError, closest
from fewvid.models import low_rank
from fewvid.parallel.paths import flatten, unflatten
from fewvid.training.stage import LoraConfig
from fewvid.training.trainable import Trainable


def covered(params: Mapping[str, Any], config: LoraConfig) -> list[str]:
    """The paths that the targets match, all of which stay as they are; none without LoRA.

    Raises UserError for a target that is no regex or matches no kernel.
    """
    found: set[str] = set()
    if not config.rank:
        return []
    flat = [path for path in flatten(params) if not low_rank.owner(path)[1]]
    for target in config.targets:
        try:
            matched = [path for path in flat if re.fullmatch(target, path)]
        except re.error as error:
            raise UserError(f"lora.targets: {target!r} is no regex: {error}") from error
        if not any(map(_is_kernel, matched)):
            kernels = [path for path in flat if _is_kernel(path)]
            raise UserError(
                f"lora.targets: {target!r} matches no kernel, which LoRA is for; a target covers "
                f"a whole path, such as 'decoder/layers/.*', and embeddings and heads train whole "
                f"or not at all.{closest(target, kernels)}"
            )
        found.update(matched)
    return sorted(found)


def grown(params: Mapping[str, Any], config: LoraConfig) -> dict[str, Any]:
    """The tree of shapes (anything with a shape) with those of A and B, float32, in it.

    Raises UserError as `covered` does, and for a rank that is no less than a kernel's sides.
    """
    flat = dict(flatten(params))
    for path in filter(_is_kernel, covered(params, config)):
        *depth, rows, columns = flat[path].shape
        if config.rank >= min(rows, columns):
            raise UserError(
                f"lora.rank is {config.rank}, but {path} is {rows} x {columns}: take a rank below "
                f"{min(rows, columns)}, or leave it out of lora.targets"
            )
        a, b = low_rank.names(path)
        flat[a] = jax.ShapeDtypeStruct((*depth, rows, config.rank), jnp.float32)
        flat[b] = jax.ShapeDtypeStruct((*depth, config.rank, columns), jnp.float32)
    return unflatten(dict(sorted(flat.items())))


def trains(chosen: Trainable, shapes: Mapping[str, Any], config: LoraConfig) -> Trainable:
    """What a stage trains: what `trainable` chose but for what LoRA covers, and each A and B.

    shapes: as `grown` makes them.
    """
    still = set(covered(shapes, config))
    moving: dict[str, tuple[int, int] | None] = {p: c for p, c in chosen.items() if p not in still}
    for path in filter(_is_kernel, still):
        moving |= dict.fromkeys(low_rank.names(path))
    return dict(sorted(moving.items()))


def begun(
    params: Mapping[str, Any], layout: Mapping[str, Any], config: LoraConfig, key: jax.Array
) -> dict[str, Any]:
    """The parameters of a model with A and B beside them: where a stage with LoRA begins.

    A is normal, of a variance of 1 / in, so that x A is about as large as x; B is 0, so that the
    model is what it was. layout: shardings of the grown tree. The same key gives the same numbers
    however they lie.
    """
    if not config.rank:
        return dict(params)
    shapes, where = flatten(grown(params, config)), flatten(layout)
    new = {path: shapes[path] for path in shapes if low_rank.owner(path)[1]}

    def draw(key: jax.Array) -> dict[str, jax.Array]:
        made = {}
        for path, leaf in new.items():
            matrix, side = low_rank.owner(path)
            if side == low_rank.B:
                made[path] = jnp.zeros(leaf.shape)
                continue
            own = jax.random.fold_in(key, zlib.crc32(matrix.encode()))
            made[path] = jax.random.normal(own, leaf.shape) / math.sqrt(leaf.shape[-2])
        return made

    drawn = jax.jit(draw, out_shardings={path: where[path] for path in new})(key)
    return unflatten(dict(sorted((flatten(params) | drawn).items())))


def count(shapes: Mapping[str, Any]) -> dict[str, int]:
    """How many parameters of each part are of A and B: {"decoder": 39_976_960}."""
    found: dict[str, int] = {}
    for path, leaf in flatten(shapes).items():
        if low_rank.owner(path)[1]:
            part = path.split("/")[0]
            found[part] = found.get(part, 0) + math.prod(leaf.shape)
    return found


def factor(config: LoraConfig) -> float:
    """alpha / rank, by which a model with B times it computes (see `low_rank.scaled`)."""
    return config.alpha / config.rank if config.rank else 1.0


def _is_kernel(path: str) -> bool:
    return path.split("/")[-1] == "kernel"
