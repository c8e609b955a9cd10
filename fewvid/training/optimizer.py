"""AdamW, Adafactor or Muon with clipping and a schedule, and where their moments lie on the mesh.

One learning rate means to all three about what it does to AdamW: the updates of each have a root
mean square near that of AdamW's, and weight decay pulls at the learning rate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import optax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from optax import contrib

from fewvid.models import low_rank
from fewvid.parallel.paths import flatten
from fewvid.training.stage import OptimizerConfig

# Decay pulls matrices towards 0; a bias, a norm's scale or a position has no reason to be small.
DECAYED = ("kernel", "embedding", "head", *low_rank.names("kernel"))
# What Muon is for: maps from one space to another. Rows of an embedding are words, not a map.
MAPS = ("kernel", *low_rank.names("kernel"))
# b2 = 0.99 remembers 100 steps: runs here are hundreds of steps, not hundreds of thousands.
B2 = 0.99
# Of Muon's updates, as AdamW's have it (Liu et al., Muon is Scalable, arXiv 2502.16982, eq. 4).
RMS = 0.2


def schedule(config: OptimizerConfig, steps: int) -> optax.Schedule:
    """Learning rate of each step: linear warmup from 0, then cosine to 0 at `steps`, or flat."""
    if config.schedule == "constant":
        flat = optax.constant_schedule(config.learning_rate)
        if not config.warmup:
            return flat
        rise = optax.linear_schedule(0.0, config.learning_rate, config.warmup)
        return optax.join_schedules([rise, flat], [config.warmup])
    return optax.warmup_cosine_decay_schedule(
        init_value=0.0 if config.warmup else config.learning_rate,
        peak_value=config.learning_rate,
        warmup_steps=config.warmup,
        decay_steps=max(steps, config.warmup + 1),
    )


def make_optimizer(config: OptimizerConfig, steps: int) -> optax.GradientTransformation:
    """Clips by the global norm over the trainable tree, then `config.name`, each part at its rate.

    `muon` orthogonalises the momentum of kernels, layer by layer (Jordan et al. 2024), and leaves
    all else to AdamW; `adafactor` keeps the second moments of a large matrix as those of its rows
    and columns (Shazeer and Stern, arXiv 1804.04235) and no first ones.
    """
    rate = schedule(config, steps)
    followed = OPTIMIZERS[config.name](rate, config.weight_decay)

    def scaled(updates: Any, _: Any) -> Any:
        return {part: _times(config.scale.get(part, 1.0), tree) for part, tree in updates.items()}

    clip = optax.clip_by_global_norm(config.clip)
    return optax.chain(clip, followed, *([optax.stateless(scaled)] if config.scale else []))


def _adamw(rate: optax.Schedule, weight_decay: float) -> optax.GradientTransformation:
    return optax.adamw(rate, b2=B2, weight_decay=weight_decay, mask=_decays)


def _adafactor(rate: optax.Schedule, weight_decay: float) -> optax.GradientTransformation:
    # optax.adafactor would also scale by a parameter's own size, at which B of LoRA, which begins
    # as 0, hardly moves, and would not decay at the learning rate.
    return optax.chain(
        optax.scale_by_factored_rms(),
        optax.clip_by_block_rms(1.0),
        optax.add_decayed_weights(weight_decay, _decays),
        optax.scale_by_learning_rate(rate),
    )


def _muon(rate: optax.Schedule, weight_decay: float) -> optax.GradientTransformation:
    matrix = contrib.MuonDimensionNumbers(reduction_axis=-2, output_axis=-1)

    def sized(updates: Any, _: Any) -> Any:
        return jax.tree.map(lambda x: RMS * max(x.shape[-2:]) ** 0.5 * x, updates)

    of_maps = optax.chain(
        contrib.scale_by_muon(
            weight_dimension_numbers=lambda tree: jax.tree.map(lambda _: matrix, tree)
        ),
        optax.stateless(sized),
        optax.add_decayed_weights(weight_decay, _decays),
        optax.scale_by_learning_rate(rate),
    )
    return optax.partition(
        {"muon": of_maps, "adamw": _adamw(rate, weight_decay)},
        lambda tree: _by_name(tree, lambda name: "muon" if name in MAPS else "adamw"),
    )


# name -> what it makes of (learning rate, weight decay): the names are `limits.OPTIMIZERS`
OPTIMIZERS: dict[str, Callable[[optax.Schedule, float], optax.GradientTransformation]] = {
    "adamw": _adamw,
    "adafactor": _adafactor,
    "muon": _muon,
}


def _decays(params: Any) -> Any:
    return _by_name(params, lambda name: name in DECAYED)


def _by_name(tree: Any, of: Callable[[str], Any]) -> Any:
    return jax.tree_util.tree_map_with_path(lambda at, _: of(at[-1].key), tree)


def _times(factor: float, tree: Any) -> Any:
    return jax.tree.map(lambda update: factor * update, tree)


def optimizer_layout(state: Any, params: Any, layout: Any, other: NamedSharding) -> Any:
    """Shardings of an optimizer state: moments lie as their parameters, counters as `other`.

    state, params: shapes; a moment is known by its place in a tree like that of the parameters.
    One of rows or columns lies as the dimensions that are left of its parameter's.
    """
    shapes, where = flatten(params), flatten(layout)

    def of(at: Any, leaf: Any) -> NamedSharding:
        path = _path(at, shapes)
        if path is None or not leaf.shape:
            return other
        return _like(leaf.shape, shapes[path].shape, where[path], other)

    return jax.tree_util.tree_map_with_path(of, state)


def _path(at: Any, shapes: Mapping[str, Any]) -> str | None:
    """The parameter that a leaf of a state belongs to: what its place ends with."""
    names = [str(getattr(key, "key", "")) for key in at]
    ends = ("/".join(names[start:]) for start in range(len(names)))
    return next((end for end in ends if end in shapes), None)


def _like(
    shape: tuple[int, ...], whole: tuple[int, ...], where: NamedSharding, other: NamedSharding
) -> NamedSharding:
    if shape == whole:
        return where
    axes = [*where.spec, *(None,) * (len(whole) - len(where.spec))]
    for gone in reversed(range(len(whole))):
        if shape == whole[:gone] + whole[gone + 1 :]:
            return NamedSharding(where.mesh, P(*axes[:gone], *axes[gone + 1 :]))
    return other
