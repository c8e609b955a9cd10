"""What a sampling strategy takes and gives, and how its choice is carried out."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp


class Selection(NamedTuple):
    """The kept tokens, K of each frame or, where `frames` says so, T * K of a clip.

    indices int32[B,T,K], sorted and unique within a frame; weights float32[B,T,K], the response
    of the kept tokens with mean 1 over those of a frame; scores float32[B,T,N], what the strategy
    ranked by; merge float32[B,T,K,N] or None: how the dropped tokens are mixed into the kept ones,
    each row of sum 1; None at K = N, where there is nothing to mix.

    frames int32[B,T,K] or None: the frame that each kept token is of, where a strategy spends one
    budget over the clip and frames keep different numbers. In reading order the pairs
    (frame, index) are then sorted and unique; row t is not frame t. None: row t is frame t.
    """

    indices: jax.Array
    weights: jax.Array
    scores: jax.Array
    merge: jax.Array | None = None
    frames: jax.Array | None = None


class Sampler(Protocol):
    """A strategy: pure, static in K, the same in training and inference."""

    def __call__(
        self,
        tokens: jax.Array,
        *,
        keep: int,
        response: jax.Array | None = None,
        keys: jax.Array | None = None,
        query: jax.Array | None = None,
        rng: jax.Array | None = None,
        frame_mask: jax.Array | None = None,
    ) -> Selection:
        """tokens float[B,T,N,D], response float32[B,T,N]; keys float[B,T,N,d], what tokens are
        compared by where a strategy compares them (None: the tokens); query float[B,D], the
        question in the tokens' own space; rng a random key; frame_mask bool[B,T], which frames are
        real, for a strategy that looks beyond a frame: real ones come first, those after them pad
        the batch (None: all are real). Scores are float32 and take no gradient: it flows through
        what is kept or merged, and through the weights into the response. Raises UserError for a
        missing input.
        """
        ...


def top(scores: jax.Array, keep: int, response: jax.Array | None = None) -> Selection:
    """Keeps the `keep` highest scores of each frame, float32[B,T,N]; ties go to the lower index."""
    scores = jax.lax.stop_gradient(scores).astype(jnp.float32)
    indices = jnp.sort(jax.lax.top_k(scores, keep)[1], axis=-1)
    return Selection(indices, weigh(indices, response), scores)


def weigh(indices: jax.Array, response: jax.Array | None) -> jax.Array:
    """The response of the kept tokens, scaled to mean 1; ones where there is no response."""
    if response is None:
        return jnp.ones(indices.shape, jnp.float32)
    kept = jnp.take_along_axis(response.astype(jnp.float32), indices, axis=-1)
    return kept / jnp.maximum(kept.mean(-1, keepdims=True), 1e-30)


def gather(tokens: jax.Array, selection: Selection | None) -> jax.Array:
    """float[B,T,N,D] -> float[B,T,K,D]; untouched, bit for bit, where nothing was selected."""
    if selection is None:
        return tokens
    if selection.merge is not None:
        mixed = jnp.einsum(
            "btkn,btnd->btkd", selection.merge, tokens.astype(jnp.float32), precision="highest"
        )
        return mixed.astype(tokens.dtype)
    if selection.frames is None:
        return jnp.take_along_axis(tokens, selection.indices[..., None], axis=2)
    batch, frames, count, width = tokens.shape
    clip = tokens.reshape(batch, frames * count, width)
    kept = jnp.take_along_axis(clip, places(selection)[..., None], axis=1)
    return kept.reshape(batch, frames, -1, width)


def places(selection: Selection) -> jax.Array:
    """Where the kept tokens are among all of the clip, int32[B,T*K], sorted: frame * N + index."""
    batch, frames, count = selection.scores.shape
    of = jnp.arange(frames)[:, None] if selection.frames is None else selection.frames
    return (of * count + selection.indices).reshape(batch, -1).astype(jnp.int32)


def spread(values: jax.Array, selection: Selection) -> jax.Array:
    """float[B,T,K] of the kept tokens -> float[B,T,N]: at their places, and 0 elsewhere."""
    batch, frames, count = selection.scores.shape
    nothing = jnp.zeros(frames * count, values.dtype)
    put = jax.vmap(lambda place, value: nothing.at[place].set(value, unique_indices=True))
    return put(places(selection), values.reshape(batch, -1)).reshape(batch, frames, count)


def of_frames(x: jax.Array, selection: Selection | None) -> jax.Array:
    """What is said of frames, float[B,T,D], for each kept token: float[B,T,K,D], or [B,T,1,D]."""
    if selection is None or selection.frames is None:
        return x[:, :, None]
    shape = selection.frames.shape
    kept = jnp.take_along_axis(x, selection.frames.reshape(len(x), -1, 1), axis=1)
    return kept.reshape(*shape, -1)
