"""Projector: every kept token by itself through two layers into the decoder's width, as LLaVA has.

What it adds to that is the time of a token's frame, which starts at nothing. With `pool`, a frame's
outputs are halved to half their grid before anything is chosen, as LLaVA-OneVision does to videos.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fewvid.models.adapter import Sample, Visual
from fewvid.models.config import AdapterConfig, SamplerConfig
from fewvid.models.dense import Dense
from fewvid.models.pooling import halved, halved_response
from fewvid.models.positions import time_features
from fewvid.samplers import gather, of_frames


class Projector(nn.Module):
    """(tokens float[B,T,N,D], encoder response, seconds float32[B,T], sample) -> Visual.

    Stands in the place of `adapter.Adapter` where its queries are "projector". The response is the
    encoder's, as there is no attention here. `newline` is what closes a clip (see `lvlm.close`).
    """

    config: AdapterConfig
    sampler: SamplerConfig
    out_width: int
    dtype: Any = jnp.float32

    def setup(self) -> None:
        self.project = Dense(self.config.width, dtype=self.dtype)
        self.to_decoder = Dense(self.out_width, dtype=self.dtype)
        zeros = nn.initializers.zeros
        self.time = Dense(self.out_width, False, dtype=self.dtype, kernel_init=zeros)
        if self.config.newline:
            spread = nn.initializers.normal(self.out_width**-0.5)
            self.newline = self.param("newline", spread, (self.out_width,))

    def __call__(
        self, tokens: jax.Array, response: jax.Array, seconds: jax.Array, sample: Sample | None
    ) -> Visual:
        first = self.sampler.site == "before"
        x = tokens if first else self._say(tokens)
        if self.config.pool:
            x, response = halved(x), halved_response(response)
        say = self._say if first else lambda said: said
        selection = sample(x, response, say, x) if sample else None
        x = gather(x, selection)
        if selection is not None and self.sampler.weighting == "scale":
            x = x * selection.weights[..., None].astype(x.dtype)
        since = time_features(seconds) - time_features(jnp.zeros_like(seconds))
        when = self.time(since.astype(self.dtype))
        return Visual(say(x) + of_frames(when, selection), selection, response)

    def _say(self, x: jax.Array) -> jax.Array:
        return self.to_decoder(nn.gelu(self.project(x), approximate=False))
