"""Rotary positions of text (Su et al. 2021), and the ways to stretch them to longer texts.

A pair of dimensions turns by `frequency` radians a position. A text longer than those of training
would turn it to angles never seen; a scaling slows the turning down:

none      frequency = theta^(-2i/d)
linear    all of it divided by rope_factor
dynamic   a larger theta, the longer the text is beyond rope_length (NTK-aware)
llama3    divided by rope_factor where a pair turns less than rope_slow times in rope_length
          positions, left alone above rope_fast times, in between a blend by number of turns
yarn      the same idea (Peng et al. 2023), but the blend is by index of the pair, and cos and sin
          are multiplied by rope_attention
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from fewvid.models.config import DecoderConfig


def frequencies(c: DecoderConfig, positions: jax.Array) -> jax.Array:
    """float32[d/2], or float32[B,1,1,d/2] where they hang on how long a row is.

    positions int32[B,L]: `dynamic` looks at the largest of a row.
    """
    half = c.head_dim // 2
    pair = jnp.arange(half, dtype=jnp.float32)
    plain = c.rope_theta ** (-pair / half)
    if c.rope_scaling == "linear":
        return plain / c.rope_factor
    trained = c.rope_length or c.max_length
    if c.rope_scaling == "dynamic":
        length = jnp.maximum(positions.max(axis=1) + 1, trained).astype(jnp.float32)
        stretch = c.rope_factor * length / trained - (c.rope_factor - 1)
        theta = c.rope_theta * stretch ** (c.head_dim / (c.head_dim - 2))
        return theta[:, None, None, None] ** (-pair / half)
    if c.rope_scaling == "llama3":
        turns = trained * plain / (2 * math.pi)
        keep = jnp.clip((turns - c.rope_slow) / (c.rope_fast - c.rope_slow), 0, 1)
        return keep * plain + (1 - keep) * plain / c.rope_factor
    if c.rope_scaling == "yarn":
        first, last = (_pair_of(c, trained, turns) for turns in (c.rope_fast, c.rope_slow))
        first, last = max(math.floor(first), 0), min(math.ceil(last), c.head_dim - 1)
        keep = 1 - jnp.clip((pair - first) / max(last - first, 1e-3), 0, 1)
        return keep * plain + (1 - keep) * plain / c.rope_factor
    return plain


def _pair_of(c: DecoderConfig, length: int, turns: float) -> float:
    """The (fractional) index of the pair that turns so many times in `length` positions."""
    return c.head_dim * math.log(length / (turns * 2 * math.pi)) / (2 * math.log(c.rope_theta))


def rotate(
    x: jax.Array, positions: jax.Array, frequency: jax.Array, scale: float = 1.0
) -> jax.Array:
    """Turns pair (i, i + d/2) of each head by position * frequency (Llama's half-split layout).

    x float[B,L,H,d] with even d, positions int32[B,L], frequency as `frequencies` gives it; scale
    multiplies the result. Angles are taken in float32.
    """
    angle = positions[:, :, None, None].astype(jnp.float32) * frequency
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    if scale != 1:
        cos, sin = cos * scale, sin * scale
    left, right = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    turned = jnp.concatenate([left * cos - right * sin, right * cos + left * sin], axis=-1)
    return turned.astype(x.dtype)
