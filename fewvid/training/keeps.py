"""Which K a step trains with, where a stage names several: one model then serves any of them.

A stage of keep=(4, 8, 16) takes each of the three once in every three steps, in an order drawn
anew each time. What a step takes hangs on the run's seed, the stage and the step alone, so that a
resumed run goes on as it would have, and every host takes the same.
"""

from __future__ import annotations

import numpy as np

from fewvid.models.config import LvlmConfig, kept_tokens

Keep = int | tuple[int, ...] | None  # of a stage's config
DRAW = 2  # apart from what else the seed and the stage decide


def given(keep: Keep) -> tuple[int | None, ...]:
    """The values that a config gives, one or several."""
    return keep if isinstance(keep, tuple) else (keep,)


def of(config: LvlmConfig, keep: Keep) -> tuple[int, ...]:
    """Every K that a stage's steps may have, ascending. Raises UserError for one outside 1..N."""
    return tuple(sorted({kept_tokens(config, one) for one in given(keep)}))


def drawn(keeps: tuple[int, ...], seed: int, stage: int, step: int) -> int:
    """The K of a step, both stage and step counted from 0."""
    if len(keeps) == 1:
        return keeps[0]
    block, place = divmod(step, len(keeps))
    order = np.random.default_rng((seed, stage, DRAW, block)).permutation(len(keeps))
    return keeps[int(order[place])]
