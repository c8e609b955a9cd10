"""Cross-entropy over a large vocabulary, a few positions of a row at a time.

The scores of A answers, float32[B,A,V], are the largest array of a step: 4 rows of 512 answers are
1.2 GB at Qwen's vocabulary, and the way back holds them again. Here only a chunk of the answers
has them at once, and the way back works them out anew.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

AT_ONCE = 2**21  # scores of a row that are held together: 8 MiB in float32


def chunk_of(answers: int, vocabulary: int) -> int:
    """How many of a row's answers have their scores at once: all, where those are few."""
    fits = max(1, AT_ONCE // vocabulary)
    chunks = -(-answers // fits)
    return -(-answers // chunks)


def cross_entropy(
    hidden: jax.Array,
    target: jax.Array,
    scores: Callable[[jax.Array], jax.Array],
    chunk: int,
) -> tuple[jax.Array, jax.Array]:
    """(-log p of each target, whether it has the highest score), both [B,A], float32 and bool.

    hidden float[B,A,D]; target int32[B,A]; scores: float[B,a,D] -> float32[B,a,V]; chunk: how many
    of the A have their scores at once. Of chunk >= A it is the plain computation.
    """
    answers = target.shape[1]
    if chunk >= answers:
        return _judged(scores(hidden), target)
    count = -(-answers // chunk)
    more = count * chunk - answers  # what fills the last chunk up is cut off again

    def split(x: jax.Array) -> jax.Array:
        x = jnp.pad(x, ((0, 0), (0, more)) + ((0, 0),) * (x.ndim - 2))
        return jnp.moveaxis(x.reshape(len(x), count, chunk, *x.shape[2:]), 1, 0)

    def join(x: jax.Array) -> jax.Array:
        return jnp.moveaxis(x, 0, 1).reshape(x.shape[1], -1)[:, :answers]

    judge = jax.checkpoint(lambda part: _judged(scores(part[0]), part[1]), prevent_cse=False)
    value, right = jax.lax.map(judge, (split(hidden), split(target)))
    return join(value), join(right)


def _judged(scores: jax.Array, target: jax.Array) -> tuple[jax.Array, jax.Array]:
    chosen = jnp.take_along_axis(scores, target[..., None], axis=-1)[..., 0]
    return jax.nn.logsumexp(scores, axis=-1) - chosen, scores.argmax(-1) == target
