"""Where and when: rotary positions of text, Fourier features of patches and of seconds."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np


def rotate(x: jax.Array, positions: jax.Array, theta: float) -> jax.Array:
    """Rotary position embedding (Su et al. 2021, eq. 34; the half-split layout of Llama).

    x float[B,L,H,d] with even d, positions int32[B,L]. Angles are taken in float32.
    """
    half = x.shape[-1] // 2
    frequency = theta ** (-jnp.arange(half, dtype=jnp.float32) / half)
    angle = positions[:, :, None, None].astype(jnp.float32) * frequency
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    left, right = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    turned = jnp.concatenate([left * cos - right * sin, right * cos + left * sin], axis=-1)
    return turned.astype(x.dtype)


def patch_features(grid: int, octaves: int = 4) -> np.ndarray:
    """Fourier features of the patch centres, float32[grid*grid, 4*octaves].

    Octave o is sin and cos of 2*pi*2**o*u for u = x and y in (0, 1), so that the lowest is one
    whole turn across the frame.
    """
    centre = (np.arange(grid) + 0.5) / grid
    y, x = np.meshgrid(centre, centre, indexing="ij")
    place = np.stack([x.ravel(), y.ravel()], axis=1)
    angle = 2 * np.pi * place[:, :, None] * 2.0 ** np.arange(octaves)
    features = np.concatenate([np.sin(angle), np.cos(angle)], axis=-1)
    return features.reshape(grid * grid, -1).astype(np.float32)


def time_features(seconds: jax.Array, octaves: int = 10) -> jax.Array:
    """Fourier features of time, float32[..., 2*octaves], periods from 0.5 s up by octaves.

    seconds float32[...], from the clip's first frame. Seconds, not indices: two clips of other
    frame rates show the same motion at the same times.
    """
    angle = 2 * jnp.pi * seconds[..., None] / (0.5 * 2.0 ** jnp.arange(octaves, dtype=jnp.float32))
    return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=-1)
