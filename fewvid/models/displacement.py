"""Displacement: where what a token shows was in another frame, relative to where it is now.

Tokens of two frames are matched by content, and the places of the matches compared as phases of
waves across the frame. The product of one phase and the conjugate of another is the phase of
their difference: it says how far something went, wherever it was. A linear layer reads directions
and speeds from it; from the two places themselves it cannot, as no sum of them is a difference of
angles. This is the correlation of optical flow (Fischer et al. 2015, FlowNet, section 3), reduced
to its expected phase (phase correlation, Kuglin and Hines 1975).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

OCTAVES = 2  # one and two whole waves across the frame
WIDTH = 4 * OCTAVES  # along x and y, real and imaginary
# Of the match. Lower than what finds the best single patch: a thing spans several, and their mean
# place is known better than one of them.
SHARPNESS = 10.0


def displacement(kept: jax.Array, now: jax.Array, then: jax.Array, grid: int) -> jax.Array:
    """How far what the kept tokens show is from where it was, float32[B,T,K,8].

    kept float[B,T,K,D] are some of the tokens `now` float[B,T,N,D] of each frame; `then`
    float[B,T,N,D] are the tokens of the frame that each is compared with; N = grid * grid.
    With m(a) the match of a kept token in frame a, a softmax over cosine similarities of tokens
    less their frame's mean, and z the phases of the patches, it is
    (E_m(then)[z] - E_m(now)[z]) conj(E_m(now)[z]), of each wave: real parts, imaginary parts.
    """
    query = _unit(kept, now)
    place = jnp.asarray(_phases(grid))
    here, there = (_expected(query, _unit(frame, frame), place) for frame in (now, then))
    real, imaginary = jnp.split(here, 2, axis=-1)
    moved_real, moved_imaginary = jnp.split(there - here, 2, axis=-1)
    return jnp.concatenate(
        [
            moved_real * real + moved_imaginary * imaginary,
            moved_imaginary * real - moved_real * imaginary,
        ],
        axis=-1,
    )


def _unit(tokens: jax.Array, frame: jax.Array) -> jax.Array:
    """Tokens less the mean of their frame (what all of it looks like), of length 1, float32."""
    own = tokens.astype(jnp.float32) - frame.astype(jnp.float32).mean(axis=2, keepdims=True)
    return own * jax.lax.rsqrt(jnp.square(own).sum(-1, keepdims=True) + 1e-6)


def _expected(query: jax.Array, frame: jax.Array, place: jax.Array) -> jax.Array:
    """The expected phases of each query's match in a frame, float32[B,T,K,8]."""
    similarity = jnp.einsum("btkd,btnd->btkn", query, frame)
    match = jax.nn.softmax(SHARPNESS * similarity, axis=-1)
    return jnp.einsum("btkn,np->btkp", match, place)


def _phases(grid: int) -> np.ndarray:
    """cos and then sin of the patches' x and y at each octave, float32[grid*grid,8]."""
    centre = (np.arange(grid) + 0.5) / grid
    y, x = np.meshgrid(centre, centre, indexing="ij")
    place = np.stack([x.ravel(), y.ravel()], axis=1)
    angle = 2 * np.pi * (place[:, :, None] * 2.0 ** np.arange(OCTAVES)).reshape(len(place), -1)
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=-1).astype(np.float32)
