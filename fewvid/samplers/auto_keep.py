"""How many tokens of a frame a clip deserves: `--keep auto`, a K for each clip by how much is new.

What changes from frame to frame is what a single frame could not tell, so a clip that changes more
is given more tokens. K takes one of a few sizes, so that few programs serve all clips.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from fewvid.samplers.similarity import unit

# From this much change on (see `change`), this share of the N tokens of a frame. Chosen with the
# encoder of the packaged model `shapes` at 8 frames, a factor of four apart. 300 clips of the
# built-in world (seed 0) change by 0.083 in the median, a tenth of them by less than 0.021 and a
# tenth by more than 0.207: 3 % get 1/32, 19 % 1/16, 57 % 1/8, which is the K that this model was
# trained at, and 21 % 1/4. To this encoder real clips change less: of 28, ten get 1/32, eleven
# 1/16, six 1/8 and one 1/4 (changes of 0.000 to 0.411, 0.022 in the median). Another encoder has
# other cosines and needs levels of its own. A model that was trained at one K alone pays for any
# other: at K = 2, 4, 8, 16 `shapes` answers 88, 93, 96, 94 % of 1251 static questions about clips;
# stages of several K are there for that.
LEVELS = ((0.0, 1 / 32), (0.01, 1 / 16), (0.04, 1 / 8), (0.16, 1 / 4))


def change(tokens: jax.Array, frame_mask: jax.Array | None = None) -> jax.Array:
    """How much of a clip is new from frame to frame, float32[B]: 0 (still) to 2.

    The mean over the frames t >= 1 and their patches p of d = 1 - cos(x_{t,p}, x_{t-1,p}), the
    measure of EVS (arXiv 2510.14624), of the encoder's tokens float[B,T,N,D]. A picture has 0.
    frame_mask bool[B,T]: which frames are real (None: all); what pads a clip does not count.
    """
    x = unit(tokens)
    new = (1.0 - jnp.sum(x[:, 1:] * x[:, :-1], axis=-1)).mean(axis=-1)
    real = jnp.ones(x.shape[:2], bool) if frame_mask is None else frame_mask
    pairs = (real[:, 1:] & real[:, :-1]).astype(jnp.float32)
    return (jnp.maximum(new, 0.0) * pairs).sum(axis=1) / jnp.maximum(pairs.sum(axis=1), 1.0)


def sizes(count: int) -> tuple[int, ...]:
    """Every K that a clip may be given of N = `count` tokens, ascending."""
    return tuple(sorted({_share(part, count) for _, part in LEVELS}))


def choose(change: float, count: int) -> int:
    """K of N = `count` tokens a frame, for a clip that changes so much (0 or more)."""
    return _share([part for least, part in LEVELS if least <= change][-1], count)


def _share(part: float, count: int) -> int:
    return max(1, round(part * count))
