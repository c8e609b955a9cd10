"""AdamW with clipping and a schedule, and where its moments lie on the mesh."""

from __future__ import annotations

from typing import Any

import jax
import optax
from jax.sharding import NamedSharding

from fewvid.training.stage import OptimizerConfig

# Decay pulls matrices towards 0; a bias, a norm's scale or a position has no reason to be small.
DECAYED = ("kernel", "embedding", "head")


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
    """Clips by the global norm over the trainable tree, then AdamW, each part at its own rate."""

    def decays(params: Any) -> Any:
        return jax.tree_util.tree_map_with_path(lambda at, _: at[-1].key in DECAYED, params)

    # b2 = 0.99 remembers 100 steps: runs here are hundreds of steps, not hundreds of thousands.
    adamw = optax.adamw(
        schedule(config, steps), b2=0.99, weight_decay=config.weight_decay, mask=decays
    )

    def scaled(updates: Any, _: Any) -> Any:
        return {part: _times(config.scale.get(part, 1.0), tree) for part, tree in updates.items()}

    clip = optax.clip_by_global_norm(config.clip)
    return optax.chain(clip, adamw, *([optax.stateless(scaled)] if config.scale else []))


def _times(factor: float, tree: Any) -> Any:
    return jax.tree.map(lambda update: factor * update, tree)


def optimizer_layout(
    optimizer: optax.GradientTransformation, state: Any, layout: Any, other: NamedSharding
) -> Any:
    """Shardings of an optimizer state: moments lie as their parameters, counters as `other`."""
    return optax.tree_utils.tree_map_params(
        optimizer, lambda _, where: where, state, layout, transform_non_params=lambda _: other
    )
