"""The one attention call of every module.

Everything goes through `attention`, so that a faster kernel has one place to be put in.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp


def attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    *,
    mask: jax.Array | None = None,
    bias: jax.Array | None = None,
) -> jax.Array:
    """Scaled dot-product attention, softmax in float32, by XLA.

    q float[B,S,H,d], k and v float[B,T,H_kv,d] with H a multiple of H_kv (grouped queries).
    mask bool[B,1,S,T], True where q may look at k; a row of all False gives finite output.
    bias float32[B,1,1,T] is added to the scaled logits: of all queries and heads, one a key.
    Returns float[B,S,H,d] in q's dtype.
    """
    return jax.nn.dot_product_attention(q, k, v, bias, mask, implementation="xla")


def probabilities(q: jax.Array, k: jax.Array, bias: jax.Array | None = None) -> jax.Array:
    """The attention weights themselves, float32[B,H,S,T], for the few rows that a response needs.

    q float[B,S,H,d], k float[B,T,H,d], bias as in `attention`. Never called with all layers'
    queries: only the CLS row, or the adapter's queries, or the queries of one layer.
    """
    logits = jnp.einsum("bshd,bthd->bhst", q, k, preferred_element_type=jnp.float32)
    logits = logits * q.shape[-1] ** -0.5
    return jax.nn.softmax(logits if bias is None else logits + bias, axis=-1)


def segment_mask(segments: jax.Array) -> jax.Array:
    """Who may look at whom in rows of packed turns: bool[B,1,L,L] from segments int32[B,L].

    A token sees earlier tokens of its own segment and of the shared prefix (segment 1); padding
    (segment 0) is seen by padding only, which keeps every row of the softmax finite.

          prefix  turn 2  turn 3
    p     x . .
    p     x x .
    2     x x     x .
    2     x x     x x
    3     x x             x .
    3     x x             x x
    """
    length = segments.shape[1]
    causal = jnp.tril(jnp.ones((length, length), bool))
    query, key = segments[:, :, None], segments[:, None, :]
    return (causal & ((query == key) | ((key == 1) & (query > 0))))[:, None]
