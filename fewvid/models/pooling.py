"""A frame's tokens on half their grid, as LLaVA-OneVision pools the frames of a video.

Each of the ceil(g / 2) places of a side lies between two of the g before, and takes from each by
how near it is (bilinear, the grids' edges aligned, nothing smoothed before): 27 become 14.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp


def halved(tokens: jax.Array) -> jax.Array:
    """float[B,T,g*g,D] -> float[B,T,h*h,D], h = ceil(g / 2), row by row."""
    batch, frames, count, width = tokens.shape
    grid = math.isqrt(count)
    half = -(-grid // 2)
    square = tokens.reshape(batch, frames, grid, grid, width)
    small = (batch, frames, half, half, width)
    exact = jax.lax.Precision.HIGHEST
    pooled = jax.image.resize(square, small, "bilinear", antialias=False, precision=exact)
    return pooled.reshape(batch, frames, half * half, width)


def halved_response(response: jax.Array) -> jax.Array:
    """float32[B,T,g*g] -> float32[B,T,h*h]: what the pooled tokens receive, of the same sum 1."""
    pooled = halved(response[..., None])[..., 0]
    return pooled / jnp.maximum(pooled.sum(-1, keepdims=True), 1e-30)
