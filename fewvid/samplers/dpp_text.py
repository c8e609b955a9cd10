"""`dpp_text`: K tokens that answer to the question and do not repeat each other."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

from fewvid.errors import UserError
from fewvid.samplers.similarity import cosine, unit
from fewvid.samplers.types import Selection, weigh

# Added to the diagonal of S: past the rank of the tokens what is left to gain is noise, of which
# a greedy step would take the root. With it the relevance decides there.
RIDGE = 1e-3


def dpp_text(
    tokens: jax.Array,
    *,
    keep: int,
    response: jax.Array | None = None,
    keys: jax.Array | None = None,
    query: jax.Array | None = None,
    rng: jax.Array | None = None,
    frame_mask: jax.Array | None = None,
) -> Selection:
    """Greedy MAP of a determinantal point process with kernel L = diag(r) S diag(r).

    The idea of CDPruner (arXiv 2506.10967): S = cos(X, X), r the relevance cos(x_i, query) of a
    frame's tokens scaled to 0..1. Each next token has the largest gain of log det L over the chosen
    (Chen, Zhang and Zhou 2018, arXiv 1709.05135, algorithm 1). CDPruner negates the cosine, as that
    of CLIP's patches and texts is upside down; a query here lives in the tokens' own space.
    tokens float[B,T,N,D], query float[B,D]. Raises UserError without a query.
    """
    del rng, frame_mask
    if query is None:
        raise UserError(
            "the sampler 'dpp_text' needs the question's embedding (query) and was given none; "
            "use --sampler maxmin, which chooses without a question"
        )
    relevance = jnp.einsum("btnd,bd->btn", unit(tokens), unit(query), precision="highest")
    low, high = (f(relevance, axis=-1, keepdims=True) for f in (jnp.min, jnp.max))
    relevance = (relevance - low) / jnp.maximum(high - low, 1e-6)
    similarity = cosine(tokens if keys is None else keys)
    indices, scores = jax.vmap(jax.vmap(partial(_choose, keep=keep)))(similarity, relevance)
    return Selection(indices, weigh(indices, response), scores)


def _choose(similarity: jax.Array, relevance: jax.Array, keep: int) -> tuple[jax.Array, jax.Array]:
    """One frame, float32[N,N] and float32[N]: indices int32[K], and scores float32[N].

    A score is the gain, a factor of det L: of a chosen token when it was chosen, of another at the
    end. Gains never grow, so the chosen stand above the others.
    """
    count = len(relevance)
    kernel = relevance[:, None] * (similarity + RIDGE * jnp.eye(count)) * relevance

    def choose(step: jax.Array, state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        order, taken, rows, gain = state
        chosen = jnp.argmax(jnp.where(taken, -jnp.inf, gain))
        left = kernel[chosen] - jnp.einsum("k,kn->n", rows[:, chosen], rows, precision="highest")
        row = left * jax.lax.rsqrt(jnp.maximum(gain[chosen], 1e-12))
        taken = taken.at[chosen].set(True)
        gain = jnp.where(taken, gain, jnp.maximum(gain - row**2, 0.0))
        return order.at[step].set(chosen.astype(jnp.int32)), taken, rows.at[step].set(row), gain

    start = (
        jnp.zeros((keep,), jnp.int32),
        jnp.zeros((count,), bool),
        jnp.zeros((keep, count), jnp.float32),
        jnp.diagonal(kernel),
    )
    order, _, _, scores = jax.lax.fori_loop(0, keep, choose, start)
    return jnp.sort(order), scores
