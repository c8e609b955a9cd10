"""Which parameters a stage trains, and the tree cut in two accordingly.

A pattern is a regex over the whole path of a parameter, `adapter/.*`. Layers are stacked along
axis 0 of one leaf, so `encoder/layers/.*@-3:` means rows -3: of it, the last three layers:

    leaf [depth, ...]   | frozen | frozen | trainable | trainable | trainable |

The trainable tree holds those rows only, so gradients, moments and weight decay exist for nothing
else and the frozen rows cannot change by a bit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from fewvid.errors import UserError, closest
from fewvid.parallel.paths import flatten, unflatten

# Path of each trainable leaf -> its rows (start, stop), or None for all of it.
Trainable = Mapping[str, tuple[int, int] | None]


def select(params: Mapping[str, Any], patterns: Sequence[str]) -> Trainable:
    """What the patterns choose among the leaves (anything with a shape) of `params`.

    Raises UserError for a pattern that matches nothing, or two that cut one leaf differently.
    """
    flat = flatten(params)
    chosen: dict[str, tuple[int, int] | None] = {}
    for pattern in patterns:
        regex, _, rows = pattern.partition("@")
        matched = [path for path in flat if _compile(regex, pattern).fullmatch(path)]
        if not matched:
            raise UserError(
                f"trainable pattern {pattern!r} matches no parameter of {', '.join(params)}; "
                f"a pattern covers a whole path, such as 'adapter/.*'.{closest(regex, flat)}"
            )
        for path in matched:
            cut = _rows(rows, flat[path].shape, pattern, path) if rows else None
            if chosen.get(path, cut) != cut:
                raise UserError(f"trainable patterns cut {path} in two ways; see {pattern!r}")
            chosen[path] = cut
    return dict(sorted(chosen.items()))


def split(params: Mapping[str, Any], trainable: Trainable) -> tuple[dict, dict]:
    """(trainable tree, frozen tree). A leaf of which only some rows train is also frozen, whole."""
    flat = flatten(params)
    moving = {
        p: flat[p] if rows is None else flat[p][slice(*rows)] for p, rows in trainable.items()
    }
    frozen = {p: leaf for p, leaf in flat.items() if trainable.get(p, "frozen") is not None}
    return unflatten(moving), unflatten(frozen)


def merge(trained: Mapping[str, Any], frozen: Mapping[str, Any], trainable: Trainable) -> dict:
    """The whole tree again, the inverse of `split`. Works on arrays, under jit and grad too."""
    flat = flatten(frozen)
    for path, leaf in flatten(trained).items():
        rows = trainable[path]
        flat[path] = leaf if rows is None else flat[path].at[slice(*rows)].set(leaf)
    return unflatten(dict(sorted(flat.items())))


def split_layout(layout: Mapping[str, Any], trainable: Trainable) -> tuple[dict, dict]:
    """`split` for a tree of shardings: rows of a leaf lie as the leaf does (depth is never cut)."""
    flat = flatten(layout)
    frozen = {p: leaf for p, leaf in flat.items() if trainable.get(p, "frozen") is not None}
    return unflatten({path: flat[path] for path in trainable}), unflatten(frozen)


def frozen_layers(trainable: Trainable, part: str) -> int:
    """How many layers of a part, from the first on, have nothing that trains in or before them."""
    mine = {path: rows for path, rows in trainable.items() if path.startswith(f"{part}/")}
    if not all(path.startswith(f"{part}/layers/") for path in mine):
        return 0
    return min((rows[0] if rows else 0 for rows in mine.values()), default=0)


def count(params: Mapping[str, Any], trainable: Trainable) -> dict[str, tuple[int, int]]:
    """{part: (parameters that train, parameters in all)} for encoder, adapter, decoder."""
    totals: dict[str, tuple[int, int]] = {}
    for path, leaf in flatten(params).items():
        size = _size(leaf.shape)
        trains = 0
        if path in trainable:
            rows = trainable[path]
            trains = size if rows is None else size // leaf.shape[0] * (rows[1] - rows[0])
        before = totals.get(path.split("/")[0], (0, 0))
        totals[path.split("/")[0]] = (before[0] + trains, before[1] + size)
    return totals


def abstract_split(params: Mapping[str, Any], trainable: Trainable) -> tuple[dict, dict]:
    """`split` for shapes alone (`jax.ShapeDtypeStruct` leaves)."""
    return jax.eval_shape(lambda tree: split(tree, trainable), params)


def _size(shape: Sequence[int]) -> int:
    size = 1
    for dim in shape:
        size *= dim
    return size


def _compile(regex: str, pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(regex)
    except re.error as error:
        raise UserError(f"trainable pattern {pattern!r} is no regex: {error}") from error


def _rows(rows: str, shape: Sequence[int], pattern: str, path: str) -> tuple[int, int]:
    found = re.fullmatch(r"(-?\d+)?:(-?\d+)?", rows)
    if not found or "layers/" not in path:
        raise UserError(
            f"trainable pattern {pattern!r}: after '@' goes a range of layers such as -3: or 0:2, "
            f"and the paths before it must be of layers/, got {path}"
        )
    start, stop, _ = slice(*(int(g) if g else None for g in found.groups())).indices(shape[0])
    if start >= stop:
        raise UserError(f"trainable pattern {pattern!r} takes none of the {shape[0]} layers")
    return start, stop
