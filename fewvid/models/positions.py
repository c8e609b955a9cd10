"""Where and when: Fourier features of patches and of seconds (those of text are in `rotary`)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np


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
