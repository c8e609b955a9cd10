"""Adapter: cross-attention from queries to the patch tokens of a frame, into the decoder's width.

The weighted token sampler stands inside this flow, before the attention or after it, because its
response may be the adapter's own attention. Keys and values carry 2-D patch positions (without
them place and direction are not learned) and every output carries the time of its frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from fewvid.models.attention import attention, probabilities
from fewvid.models.config import AdapterConfig, EncoderConfig, SamplerConfig
from fewvid.models.positions import patch_features, time_features
from fewvid.samplers import Selection, gather

# (candidates float[B,T,N,D], response float32[B,T,N]) -> what was kept; None keeps everything.
Sample = Callable[[jax.Array, jax.Array], Selection]


class Visual(NamedTuple):
    """What the decoder reads of the frames, and why.

    tokens float[B,T,M,D_llm]; selection None where everything was kept; response float32[B,T,N]
    over the candidates of the sampler's site (patches, or query outputs after the adapter).
    """

    tokens: jax.Array
    selection: Selection | None
    response: jax.Array


class Adapter(nn.Module):
    """(tokens float[B,T,N,D], encoder response, seconds float32[B,T], sample) -> Visual."""

    config: AdapterConfig
    encoder: EncoderConfig
    sampler: SamplerConfig
    out_width: int
    dtype: Any = jnp.float32

    def setup(self) -> None:
        c = self.config

        def dense(width: int) -> nn.Dense:
            return nn.Dense(width, dtype=self.dtype)

        def norm() -> nn.LayerNorm:
            return nn.LayerNorm(dtype=self.dtype)

        self.norm_in, self.project, self.place = norm(), dense(c.width), dense(c.width)
        if c.queries == "learned":
            self.queries = self.param("queries", nn.initializers.normal(1.0), (c.count, c.width))
        if c.queries != "mlp":
            self.norm_q, self.q = norm(), dense(c.width)
            self.k, self.v, self.out = dense(c.width), dense(c.width), dense(c.width)
        self.norm_mlp, self.mlp_in, self.mlp_out = (
            norm(),
            dense(4 * c.width),
            dense(c.width),
        )
        self.norm_out, self.to_decoder, self.time = (
            norm(),
            dense(self.out_width),
            dense(self.out_width),
        )

    def __call__(
        self,
        tokens: jax.Array,
        encoder_response: jax.Array,
        seconds: jax.Array,
        sample: Sample | None,
    ) -> Visual:
        before, learned = (
            self.sampler.site == "before",
            self.config.queries == "learned",
        )
        batch, frames = tokens.shape[:2]
        place = self.place(jnp.asarray(patch_features(self.encoder.grid), self.dtype))
        x = self.project(self.norm_in(tokens)) + place
        flat = x.reshape(batch * frames, *x.shape[2:])
        if self.config.queries == "mlp":
            response = encoder_response
            selection = sample(x, response) if sample else None
            seen = gather(x, selection)
        else:
            start = (
                jnp.broadcast_to(self.queries, (len(flat), *self.queries.shape))
                if learned
                else flat
            )
            start = start.astype(self.dtype)
            q, k = self._heads(self.q(self.norm_q(start))), self._heads(self.k(flat))
            v = self._heads(self.v(flat))
            response = encoder_response
            if self.sampler.response == "adapter" or (learned and not before):
                response = self._response(q, k).reshape(batch, frames, -1)
            selection = sample(x, response) if sample and before else None
            if selection is not None:
                index = selection.indices.reshape(batch * frames, -1)
                if learned:  # the queries read the kept tokens only
                    k, v = (jnp.take_along_axis(y, index[:, :, None, None], 1) for y in (k, v))
                else:  # the kept tokens are the queries and read the whole frame
                    q = jnp.take_along_axis(q, index[:, :, None, None], 1)
                    start = jnp.take_along_axis(start, index[:, :, None], 1)
            read = attention(q, k, v)
            y = start + self.out(read.reshape(*start.shape[:2], -1))
            seen = y.reshape(batch, frames, *y.shape[1:])
            if sample and not before:
                selection = sample(seen, response)
                seen = gather(seen, selection)
        seen = seen + self.mlp_out(nn.gelu(self.mlp_in(self.norm_mlp(seen))))
        when = self.time(time_features(seconds).astype(self.dtype))
        return Visual(self.to_decoder(self.norm_out(seen)) + when[:, :, None], selection, response)

    def _heads(self, y: jax.Array) -> jax.Array:
        return y.reshape(*y.shape[:2], self.config.heads, -1)

    def _response(self, q: jax.Array, k: jax.Array) -> jax.Array:
        """Attention that each candidate of the site receives, float32[F,N] (or [F,Q]).

        A patch receives the mean over heads and queries. The output of a learned query has no
        attention of its own to receive: it counts what the patches that it reads receive.
        """
        weights = probabilities(q, k).mean(axis=1)
        patches = weights.mean(axis=1)
        if self.sampler.site == "before" or self.config.queries == "tokens":
            return patches
        return jnp.einsum("fqn,fn->fq", weights, patches)
