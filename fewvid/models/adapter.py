"""Adapter: cross-attention from queries to the patch tokens of a frame, into the decoder's width.

The weighted token sampler stands inside this flow, before the attention or after it, because its
response may be the adapter's own attention. Keys and values carry 2-D patch positions (without
them place and direction are not learned) and every output carries the seconds since the first
frame, of which an image has none: training on images leaves the time's weights as they were.

With `change`, an output also carries how it differs from the first frame and from the frame
before: how much what its query reads has changed (absolute values, as a change either way is one),
and how far what it shows has moved (`models.displacement`). Both are products of two frames, which
the decoder would have to find among thousands of tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from fewvid.models.attention import attention, probabilities
from fewvid.models.config import AdapterConfig, EncoderConfig, SamplerConfig
from fewvid.models.dense import Dense
from fewvid.models.displacement import displacement
from fewvid.models.positions import patch_features, time_features
from fewvid.samplers import Selection, gather, of_frames, spread

TIME_SCALE = 0.5
# Makes displacements as large as the other changes, so that all learn as fast.
DISPLACEMENT_SCALE = 8.0
# Added to the attention logits of a token that is not to be read: e^DROPPED is 0 in float32.
DROPPED = -1e9
LEAST = 1e-9  # of a weight whose logarithm is taken

# (candidates float[B,T,N,W], response float32[B,T,N], a function that brings candidates into the
# decoder's width, where they can be compared with words, and float[B,T,N,D] by which they are
# compared with each other: the encoder's tokens, which know nothing of the adapter's places)
# -> what was kept; None keeps everything.
Sample = Callable[[jax.Array, jax.Array, Callable[[jax.Array], jax.Array], jax.Array], Selection]


class Visual(NamedTuple):
    """What the decoder reads of the frames, and why.

    tokens float[B,T,M,D_llm], in the order in which they are read: row t is frame t, but not where
    a budget was spent over the clip (`Selection.frames`); selection None where everything was kept;
    response float32[B,T,N] over the candidates of the sampler's site (patches, or query outputs
    after the adapter).
    """

    tokens: jax.Array
    selection: Selection | None
    response: jax.Array


def earlier(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """What frames 1..T-1 of float[B,T,...] are compared with: the first, and the one before."""
    return jnp.broadcast_to(x[:, :1], x[:, 1:].shape), x[:, :-1]


def _flat_bias(bias: jax.Array | None) -> jax.Array | None:
    """float32[B,T,N] -> [B*T,1,1,N], as `attention` takes it."""
    return None if bias is None else bias.reshape(-1, 1, 1, bias.shape[-1])


class Adapter(nn.Module):
    """(tokens float[B,T,N,D], encoder response, seconds float32[B,T], sample) -> Visual."""

    config: AdapterConfig
    encoder: EncoderConfig
    sampler: SamplerConfig
    out_width: int
    dtype: Any = jnp.float32

    def setup(self) -> None:
        c = self.config

        def dense(width: int) -> Dense:
            return Dense(width, dtype=self.dtype)

        def norm() -> nn.LayerNorm:
            return nn.LayerNorm(dtype=self.dtype)

        self.norm_in, self.project, self.place = norm(), dense(c.width), dense(c.width)
        if c.queries == "learned":
            self.queries = self.param("queries", nn.initializers.normal(1.0), (c.count, c.width))
        if c.queries != "mlp":
            self.norm_q, self.q = norm(), dense(c.width)
            self.k, self.v, self.out = dense(c.width), dense(c.width), dense(c.width)
        if c.change:  # starts at nothing: an image model is the same function with it
            zeros = nn.initializers.zeros
            self.change = Dense(self.out_width, False, dtype=self.dtype, kernel_init=zeros)
        self.norm_mlp, self.mlp_in, self.mlp_out = norm(), dense(4 * c.width), dense(c.width)
        self.norm_out, self.to_decoder = norm(), dense(self.out_width)
        # Large at the start: frames of a clip are alike but for this, and an image has none of it.
        scale = nn.initializers.normal(TIME_SCALE)
        self.time = Dense(self.out_width, False, dtype=self.dtype, kernel_init=scale)

    def __call__(
        self,
        tokens: jax.Array,
        encoder_response: jax.Array,
        seconds: jax.Array,
        sample: Sample | None,
    ) -> Visual:
        place = self.place(jnp.asarray(patch_features(self.encoder.grid), self.dtype))
        x = self.project(self.norm_in(tokens)) + place
        read = self._pass if self.config.queries == "mlp" else self._cross
        seen, changed, selection, response = read(tokens, x, encoder_response, sample)
        out = self._say(seen)
        since = time_features(seconds) - time_features(jnp.zeros_like(seconds))
        when = self.time(since.astype(self.dtype))
        if selection is not None and self.sampler.site == "after":
            out = self._scaled(out, selection.weights)
            changed = None if changed is None else self._scaled(changed, selection.weights)
        out = out + of_frames(when, None if self._reads_kept else selection)
        if changed is not None:
            out = out + self.change(changed)
        return Visual(out, selection, response)

    def _say(self, seen: jax.Array) -> jax.Array:
        """What was seen, float[B,T,S,W], in the decoder's width: without its time and change.

        Of a candidate that nothing was read for yet, it is how that alone would be said.
        """
        seen = seen + self.mlp_out(nn.gelu(self.mlp_in(self.norm_mlp(seen))))
        return self.to_decoder(self.norm_out(seen))

    @property
    def _reads_kept(self) -> bool:
        """Learned queries read what is kept, so that the outputs are theirs and none is dropped."""
        return self.config.queries == "learned" and self.sampler.site == "before"

    def _pass(self, tokens: jax.Array, x: jax.Array, response: jax.Array, sample: Sample | None):
        """No attention: the kept tokens as they are."""
        selection = sample(x, response, self._say, tokens) if sample else None
        changed = None
        if self.config.change:
            difference = [jnp.abs(x[:, 1:] - then) for then in earlier(x)]
            if selection is None or selection.frames is not None:
                changed = gather(self._since(difference, self._moved(tokens, tokens)), selection)
            else:  # matching is what costs: only for what is kept
                later = jax.tree.map(lambda part: part[:, 1:], selection)
                moved = self._moved(tokens, gather(tokens, selection))
                changed = self._since([gather(d, later) for d in difference], moved)
        x = gather(x, selection)
        if selection is not None and self.sampler.site == "before":
            x = self._scaled(x, selection.weights)
        return x, changed, selection, response

    def _cross(self, tokens: jax.Array, x: jax.Array, response: jax.Array, sample: Sample | None):
        """Cross-attention, frame by frame, of the queries to the patch tokens x float[B,T,N,W]."""
        batch, frames, _, _ = x.shape
        learned, first = self.config.queries == "learned", self.sampler.site == "before"
        shape = (batch, frames, self.config.count, self.config.width)
        start = jnp.broadcast_to(self.queries.astype(self.dtype), shape) if learned else x
        if self.sampler.response == "adapter" or (learned and not first):
            response = self._response(self._q(start), self._heads(self.k(x)))
        selection = sample(x, response, self._say, tokens) if sample and first else None
        over_clip = selection is not None and selection.frames is not None
        # shown: what the queries, or what they read, show; bias: of the tokens that they read
        keys, shown, bias = x, tokens, None
        if selection is not None:
            weights, kept = selection.weights, gather(x, selection)
            if over_clip:  # frames keep different numbers, so all N of each stay at their places
                weights, kept = spread(weights, selection), x
            else:
                shown = gather(tokens, selection)
            kept = self._scaled(kept, weights)
            if learned:  # the queries read what is kept only
                keys, bias = kept, self._bias(weights)
                if over_clip:
                    inside = spread(jnp.ones_like(selection.weights), selection) > 0
                    bias = jnp.where(inside, 0.0 if bias is None else bias, DROPPED)
            else:  # what is kept are the queries, and they read the whole frame
                start, bias = kept, self._bias(response)
        q, k, v = self._q(start), self._heads(self.k(keys)), self._heads(self.v(keys))
        read = self._attend(q, k, v, bias)
        seen, changed = start + self.out(read), None
        if self.config.change:
            biases = (None, None) if bias is None else earlier(bias)
            before = zip(earlier(k), earlier(v), biases, strict=True)
            then = [self._attend(q[:, 1:], *kvb) for kvb in before]
            moved = self._moved(tokens, shown)
            if learned:  # a query has moved as what it reads
                moved = [self._weights(q, k, bias)[:, 1:] @ m for m in moved]
            changed = self._since([jnp.abs(read[:, 1:] - old) for old in then], moved)
        if sample and not first:
            selection = sample(seen, response, self._say, seen)
        if not first or (over_clip and not learned):  # that worked out all N, of which it takes K
            seen = gather(seen, selection)
            changed = None if changed is None else gather(changed, selection)
        return seen, changed, selection, response

    def _moved(self, tokens: jax.Array, shown: jax.Array) -> list[jax.Array]:
        """How far what some tokens of frames 1..T-1 show went, float32[B,T-1,S,8] each."""
        grid, now = self.encoder.grid, tokens[:, 1:]
        return [displacement(shown[:, 1:], now, then, grid) for then in earlier(tokens)]

    def _since(self, difference: list[jax.Array], moved: list[jax.Array]) -> jax.Array:
        """All that changed, float[B,T,S,2*(W+8)]: nothing at the first frame."""
        scaled = [DISPLACEMENT_SCALE * m for m in moved]
        later = jnp.concatenate([part.astype(self.dtype) for part in (*difference, *scaled)], -1)
        return jnp.pad(later, ((0, 0), (1, 0), (0, 0), (0, 0)))

    def _attend(self, q: jax.Array, k: jax.Array, v: jax.Array, bias: jax.Array | None):
        """float[B,T,S,H,d] over the tokens of the same frame -> float[B,T,S,W].

        bias float32[B,T,N] or None: added to the logits of each token, for all queries.
        """
        batch, frames, count = q.shape[:3]
        flat = [y.reshape(batch * frames, *y.shape[2:]) for y in (q, k, v)]
        return attention(*flat, bias=_flat_bias(bias)).reshape(
            batch, frames, count, self.config.width
        )

    def _scaled(self, kept: jax.Array, weights: jax.Array) -> jax.Array:
        """What is kept, float[B,T,K,D], times its weights float32[B,T,K], where that is wanted."""
        if self.sampler.weighting != "scale":
            return kept
        return kept * weights[..., None].astype(kept.dtype)

    def _bias(self, weights: jax.Array) -> jax.Array | None:
        """log of weights float32[B,T,N] of mean 1 over the frame, where a bias is wanted."""
        if self.sampler.weighting != "bias":
            return None
        mean = jnp.maximum(weights.mean(-1, keepdims=True), LEAST)
        return jnp.log(jnp.maximum(weights / mean, LEAST))

    def _q(self, start: jax.Array) -> jax.Array:
        return self._heads(self.q(self.norm_q(start)))

    def _heads(self, y: jax.Array) -> jax.Array:
        return y.reshape(*y.shape[:3], self.config.heads, -1)

    def _response(self, q: jax.Array, k: jax.Array) -> jax.Array:
        """Attention that each candidate of the site receives, float32[B,T,N] (or [B,T,Q]).

        A patch receives the mean over heads and queries. The output of a learned query has no
        attention of its own to receive: it counts what the patches that it reads receive.
        """
        weights = self._weights(q, k)
        patches = weights.mean(axis=2)
        if self.sampler.site == "before" or self.config.queries == "tokens":
            return patches
        return jnp.einsum("btqn,btn->btq", weights, patches)

    def _weights(self, q: jax.Array, k: jax.Array, bias: jax.Array | None = None) -> jax.Array:
        """How much each query attends to each token, the mean of the heads: float32[B,T,Q,N]."""
        flat_q, flat_k = (y.reshape(-1, *y.shape[2:]) for y in (q, k))
        weights = probabilities(flat_q, flat_k, _flat_bias(bias)).mean(axis=1)
        return weights.reshape(*q.shape[:3], k.shape[2])
