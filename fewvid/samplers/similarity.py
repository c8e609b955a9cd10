"""How alike the tokens of a frame are: the one N x N product that strategies choose by."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def unit(x: jax.Array) -> jax.Array:
    """float[...,D] -> float32[...,D] of length 1 (a vector of zeros stays one), no gradient."""
    x = jax.lax.stop_gradient(x).astype(jnp.float32)
    return x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


def cosine(x: jax.Array) -> jax.Array:
    """S_ij = cos(x_i, x_j) of tokens float[...,N,D], float32[...,N,N], no gradient.

    In full float32 on every device: choices hang on differences that bfloat16 does not see.
    """
    x = unit(x)
    return jnp.einsum("...id,...jd->...ij", x, x, precision="highest")
