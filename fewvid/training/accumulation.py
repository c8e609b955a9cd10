"""A batch in equal parts, taken one after the other inside one step: the gradient is the whole's.

    rows  0 1 2 3 | 4 5 6 7      two devices, accumulate=2
    part 0: 0 2   | 4 6          every device gives of its own rows to every part,
    part 1: 1 3   | 5 7          so that none is sent and each part lies as the batch does

A loss is a mean over answer tokens, of which parts have different numbers: a part counts as many
times as it has tokens, and what comes out is the mean over all tokens of the batch. Each part draws
its own random numbers, so that a sampler that draws keeps others than it would of the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from fewvid.parallel.mesh import BATCH

# (part, rng) -> (gradients, metrics), where metrics has `tokens`
Differentiate = Callable[[Any, jax.Array], tuple[Any, dict[str, jax.Array]]]


def divided(
    batch: Mapping[str, jax.Array], layout: Any, accumulate: int
) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
    """(parts, shared): arrays [B,...] as [accumulate,B/accumulate,...], and those without rows.

    layout: the sharding of all arrays, or of each by name; one that is not split over the mesh as
    a batch's rows are has none.
    """
    parts, shared = {}, {}
    for name, value in batch.items():
        where = layout[name] if isinstance(layout, Mapping) else layout
        if where.spec != BATCH:
            shared[name] = value
            continue
        each = value.reshape(len(value) // accumulate, accumulate, *value.shape[1:]).swapaxes(0, 1)
        over = NamedSharding(where.mesh, P(None, *BATCH))
        parts[name] = jax.lax.with_sharding_constraint(each, over)
    return parts, shared


def mean(
    differentiate: Differentiate, parts: Any, rng: jax.Array, layout: Any
) -> tuple[Any, dict[str, jax.Array]]:
    """Gradients and metrics of all parts, each weighed by its `tokens`, which are summed.

    layout: shardings of the gradients, by which their sums lie.
    """
    count = len(jax.tree.leaves(parts)[0])
    first = jax.tree.map(lambda leaf: leaf[0], parts)
    sums = jax.tree.map(
        lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(differentiate, first, rng)
    )

    def lies(gradients: Any) -> Any:
        return jax.lax.with_sharding_constraint(gradients, layout)

    def add(sums: Any, part: Any) -> tuple[Any, None]:
        index, rows = part
        gradients, metrics = differentiate(rows, jax.random.fold_in(rng, index))
        tokens = metrics.pop("tokens")
        weighed = jax.tree.map(lambda new: tokens * new, (gradients, metrics))
        old, total = sums
        total = dict(total)
        count = total.pop("tokens") + tokens
        grads, metrics = jax.tree.map(jnp.add, (old, total), weighed)
        return (lies(grads), metrics | {"tokens": count}), None

    (gradients, metrics), _ = jax.lax.scan(
        add, (lies(sums[0]), sums[1]), (jnp.arange(count), parts)
    )
    metrics = dict(metrics)
    tokens = metrics.pop("tokens")
    share = 1 / jnp.maximum(tokens, 1e-6)  # as `lvlm.loss` divides where there are none
    gradients, metrics = jax.tree.map(lambda total: total * share, (gradients, metrics))
    return gradients, metrics | {"tokens": tokens}
