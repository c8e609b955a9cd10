"""How parameters lie on the mesh: one ordered table of (path regex -> PartitionSpec).

The same table places fresh, restored and imported parameters, and the optimizer's moments. Specs
count from the right: `layers/` leaves carry their depth in front, which is never split.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from fewvid.models import low_rank
from fewvid.parallel.paths import flatten, unflatten

log = logging.getLogger(__name__)
Rules = Sequence[tuple[str, P]]

# Read from the top; the first full match decides. Kernels are [in, out]: a layer's first kernels
# split `out` over tensor and its last ones `in`, so that one sum per layer crosses the axis.
LVLM_RULES: Rules = (
    (r"decoder/embedding", P("tensor", "fsdp")),
    (r"decoder/head", P("fsdp", "tensor")),
    (r".*/(attention_)?[qkv]/kernel", P("fsdp", "tensor")),
    (r".*/mlp_(in|gate)/kernel", P("fsdp", "tensor")),
    (r".*/(attention_out|mlp_out|out)/kernel", P("tensor", "fsdp")),
    (r"encoder/patch/kernel", P(None, "fsdp")),
    (r"adapter/(project|place|change|time|to_decoder)/kernel", P(None, "fsdp")),
    (r"adapter/queries|encoder/position", P(None, "fsdp")),
    (r"adapter/newline|encoder/cls", P()),
    (r".*/(norm\w*)/(scale|bias)", P()),
    (r".*/bias", P()),
)


def spec_for(path: str, ndim: int, rules: Rules = LVLM_RULES) -> P:
    """The spec of one parameter, padded in front to `ndim`. Raises ValueError if none matches.

    A and B of LoRA (`models.low_rank`) are split as their matrix is: A its rows, B its columns.
    """
    matrix, side = low_rank.owner(path)
    if side:
        *depth, rows, columns = spec_for(matrix, ndim, rules)
        return P(*depth, rows, None) if side == low_rank.A else P(*depth, None, columns)
    for pattern, spec in rules:
        if re.fullmatch(pattern, path):
            if len(spec) > ndim:
                raise ValueError(f"sharding of {path}: {spec} is longer than its {ndim} dims")
            return P(*(None,) * (ndim - len(spec)), *spec)
    raise ValueError(f"no sharding rule matches {path!r}: add a row to LVLM_RULES")


def fit(path: str, shape: Sequence[int], spec: P, mesh: Mesh) -> tuple[P, list[str]]:
    """Drops the axes that do not divide their dimension; returns the spec and what was dropped."""
    axes, notes = list(spec), []
    for dim, axis in enumerate(axes):
        if axis is not None and shape[dim] % mesh.shape[axis]:
            notes.append(
                f"{path}: dimension {dim} of {shape[dim]} does not divide over "
                f"{axis}={mesh.shape[axis]}, so each device holds all of it"
            )
            axes[dim] = None
    return P(*axes), notes


def shardings(
    mesh: Mesh,
    tree: Mapping[str, Any],
    rules: Rules = LVLM_RULES,
    report: Callable[[str], None] = log.warning,
) -> dict[str, Any]:
    """A NamedSharding for each leaf (anything with a shape) of a nested dict of parameters.

    A dimension that an axis does not divide stays whole, and `report` is told so once per leaf.
    Raises ValueError naming every path that no rule matches.
    """
    flat, unmatched = {}, []
    for path, leaf in flatten(tree).items():
        try:
            spec = spec_for(path, len(leaf.shape), rules)
        except ValueError as error:
            unmatched.append(str(error))
            continue
        spec, notes = fit(path, leaf.shape, spec, mesh)
        for note in notes:
            report(note)
        flat[path] = NamedSharding(mesh, spec)
    if unmatched:
        raise ValueError("; ".join(unmatched))
    return unflatten(flat)


def place(tree: Mapping[str, Any], layout: Mapping[str, Any]) -> Any:
    """Puts arrays (numpy or jax) where `layout` says, each device taking only its own piece."""
    return jax.device_put(tree, layout)
