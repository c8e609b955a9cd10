"""The whole model as pure functions of (config, params, ...): encode, see, forward, loss, generate.

    pixels --encode--> Features --see--> Visual --forward--> hidden --answer_logits--> logits

`params` is a plain nested dict {"encoder", "adapter", "decoder"} with layers stacked along axis 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, cast

import flax.linen as nn
import jax
import jax.numpy as jnp

from fewvid import samplers
from fewvid.models import decoder as decoding
from fewvid.models.adapter import Adapter, Visual
from fewvid.models.attention import segment_mask
from fewvid.models.config import LvlmConfig, candidates, kept_tokens
from fewvid.models.cross_entropy import chunk_of, cross_entropy
from fewvid.models.decoder import Cache, Decoder
from fewvid.models.encoder import Encoder
from fewvid.models.projector import Projector
from fewvid.models.spread import spread

Params = dict[str, Any]
Batch = Mapping[str, jax.Array]


class Features(NamedTuple):
    """What the encoder says of the frames: tokens float[B,T,N,D], response float32[B,T,N]."""

    tokens: jax.Array
    response: jax.Array


class Lvlm(nn.Module):
    """The parts under one roof, so that they share one parameter tree."""

    config: LvlmConfig
    dtype: Any = jnp.float32
    remat: str = "none"  # one of `models.remat.NAMES`
    unrolled: bool = False  # the decoder's layers, see `models.decoder`
    frozen_layers: int = 0  # of the encoder, see there

    def setup(self) -> None:
        c = self.config
        self.encoder = Encoder(c.encoder, self.dtype, self.remat, self.frozen_layers)
        if c.adapter.queries == "projector":
            self.adapter = Projector(c.adapter, c.sampler, c.decoder.width, self.dtype)
        else:
            self.adapter = Adapter(c.adapter, c.encoder, c.sampler, c.decoder.width, self.dtype)
        self.decoder = Decoder(c.decoder, self.dtype, self.remat, self.unrolled)

    def encode(self, pixels: jax.Array) -> Features:
        batch, frames = pixels.shape[:2]
        tokens, response = self.encoder(pixels.reshape(batch * frames, *pixels.shape[2:]))
        split = lambda x: x.reshape(batch, frames, *x.shape[1:])  # noqa: E731
        return Features(split(tokens), split(response))

    def see(self, features: Features, times: jax.Array, sample: Any) -> Visual:
        tokens = spread(features.tokens.astype(self.dtype))
        seen = self.adapter(tokens, features.response.astype(jnp.float32), times, sample)
        return seen._replace(tokens=spread(seen.tokens))

    def read(
        self,
        visual: jax.Array | None,
        tokens: jax.Array,
        positions: jax.Array,
        mask: jax.Array | None,
        is_visual: jax.Array | None,
        cache: Cache | None,
    ) -> tuple[jax.Array, Cache | None]:
        if visual is None or is_visual is None:
            return self.decoder(self.decoder.embed(tokens), positions, mask, cache)
        # A placeholder is no word: else thousands of gradients, all zero, meet in its one row.
        words = jnp.where(is_visual, self.config.decoder.vocab_size, tokens)
        seen = visual.reshape(len(visual), -1, visual.shape[-1])
        x = place(self.decoder.embed(words), seen, is_visual)
        if self.config.adapter.newline:
            x = close(x, self.adapter.newline, is_visual)
        return self.decoder(x, positions, mask, cache)

    def logits(self, hidden: jax.Array) -> jax.Array:
        return self.decoder.logits(hidden)

    def __call__(self, pixels: jax.Array, times: jax.Array, tokens: jax.Array) -> jax.Array:
        visual = self.see(self.encode(pixels), times, None).tokens
        ones = jnp.ones((*tokens.shape, tokens.shape[1]), bool)[:, None]
        hidden, _ = self.read(visual, tokens, tokens, ones, tokens > 0, None)
        return self.logits(hidden)


def place(x: jax.Array, visual: jax.Array, is_visual: jax.Array) -> jax.Array:
    """Puts the v-th visual token of a row at its v-th placeholder.

    x float[B,L,D], visual float[B,T*M,D] frame-major, is_visual bool[B,L].
    """
    order = jnp.clip(jnp.cumsum(is_visual, axis=1) - 1, 0, visual.shape[1] - 1)
    return jnp.where(is_visual[..., None], jnp.take_along_axis(visual, order[..., None], 1), x)


def close(x: jax.Array, newline: jax.Array, is_visual: jax.Array) -> jax.Array:
    """Puts newline float[D] at the last placeholder of each row, however many frames it has.

    x float[B,L,D], is_visual bool[B,L].
    """
    order = jnp.cumsum(is_visual, axis=1)
    last = is_visual & (order == order[:, -1:])
    return jnp.where(last[..., None], newline.astype(x.dtype), x)


@partial(jax.jit, static_argnums=0)  # one program, where flax would compile one an operation
def init(config: LvlmConfig, rng: jax.Array) -> Params:
    """Fresh float32 parameters; under `jax.eval_shape` their shapes alone."""
    size = config.encoder.image_size
    pixels = jnp.zeros((1, 1, size, size, 3), jnp.uint8)
    times, tokens = jnp.zeros((1, 1)), jnp.zeros((1, 4), jnp.int32)
    return cast(Params, Lvlm(config).init(rng, pixels, times, tokens)["params"])


def _apply(
    config: LvlmConfig,
    params: Params,
    method: str,
    dtype: Any,
    remat: str = "none",
    frozen_layers: int = 0,
) -> Callable[..., Any]:
    """One method of `Lvlm` on these parameters; it returns what that method returns."""
    module = Lvlm(config, dtype, remat, is_unrolled(params), frozen_layers)
    return partial(module.apply, {"params": params}, method=method)


def unrolled(params: Mapping[str, Any]) -> Params:
    """The same parameters with the decoder's layers apart: what generating is fast with.

    Every function here takes either. Of numpy arrays nothing is copied.
    """
    if is_unrolled(params):
        return dict(params)
    return {**params, "decoder": decoding.unroll(params["decoder"])}


def is_unrolled(params: Mapping[str, Any]) -> bool:
    """Whether the decoder's layers are apart."""
    return decoding.is_unrolled(params.get("decoder", {}))


def encode(
    config: LvlmConfig,
    params: Params,
    pixels: jax.Array,
    *,
    dtype: Any = jnp.float32,
    remat: str = "none",
    frozen_layers: int = 0,
) -> Features:
    """pixels uint8[B,T,H,W,3] -> Features. Needs params["encoder"] alone.

    frozen_layers: how many, from the first on, take no gradient (see `Encoder`).
    """
    return _apply(config, params, "encode", dtype, remat, frozen_layers)(pixels)


def see(
    config: LvlmConfig,
    params: Params,
    features: Features,
    times: jax.Array,
    *,
    keep: int | None = None,
    sampler: str | None = None,
    query: jax.Array | None = None,
    frame_mask: jax.Array | None = None,
    rng: jax.Array | None = None,
    dtype: Any = jnp.float32,
) -> Visual:
    """Samples and adapts: what the decoder reads of the frames. Needs params["adapter"] alone.

    times float32[B,T] seconds; keep K (None: the config's); sampler a name of
    `fewvid.samplers.SAMPLERS` (None: the config's); query float[B,D_llm], what `ask` makes of the
    question, for a sampler that chooses by it; frame_mask bool[B,T], which frames
    are real (None: all), so that those that pad a batch take nothing from a budget over the clip.
    K = N runs no sampler at all.
    """
    kept = kept_tokens(config, keep)
    everything = kept == candidates(config)
    sample = None
    if not everything:
        strategy = samplers.find(sampler or config.sampler.name)
        # Where there is a question its words are compared with what tokens say to the decoder.
        sample = lambda tokens, response, say, keys: strategy(  # noqa: E731
            tokens if query is None else say(tokens),
            keep=kept,
            response=response,
            keys=keys,
            query=query,
            rng=rng,
            frame_mask=frame_mask,
        )
    return _apply(config, params, "see", dtype)(features, times, sample)


def ask(params: Params, tokens: jax.Array, asked: jax.Array) -> jax.Array:
    """A question as a sampler takes it: the mean of its word embeddings, float32[B,D_llm].

    tokens int32[B,L], of which asked bool[B,L] are the question: all ids that `Chat.question_ids`
    writes, as training cannot tell the words from the frame of the chat. Needs params["decoder"].
    """
    words = params["decoder"]["embedding"][jnp.maximum(tokens, 0)].astype(jnp.float32)
    total = jnp.where(asked[..., None], words, 0).sum(axis=1)
    return total / jnp.maximum(asked.sum(axis=1, keepdims=True), 1)


def asked_in(batch: Batch) -> jax.Array:
    """bool[B,L]: the ids of a batch's questions, all of a row, and nothing of their answers."""
    segments, length = batch["segments"], batch["segments"].shape[1]
    # What stands at answer_positions predicts the answer, which is the id after it.
    answers = jnp.where(batch["answer_weights"] > 0, batch["answer_positions"] + 1, length)
    put = jax.vmap(lambda row, at: row.at[at].set(False, mode="drop"))
    return put(segments > 1, answers)


def forward(
    config: LvlmConfig,
    params: Params,
    batch: Batch,
    *,
    keep: int | None = None,
    sampler: str | None = None,
    rng: jax.Array | None = None,
    dtype: Any = jnp.float32,
    remat: str = "none",
    frozen_layers: int = 0,
    visual_id: int = 4,
    packed: bool = True,
    cache: Cache | None = None,
) -> tuple[jax.Array, Cache | None]:
    """hidden float[B,L,D] of a batch of packed turns (see docs of `data.batches`), and the cache.

    packed: a row may hold several turns, which do not see each other; False: one turn a row, which
    is read from left to right, so that no mask is made, read or multiplied by. frozen_layers: as
    `encode` has it.

    The batch holds pixels uint8[B,T,H,W,3], or feature_tokens float[B,T,N,D] and
    feature_response where the encoder's work was done before, or neither (text alone). Where
    frames pad it, frame_mask bool[B,T] says which are real; a row's placeholders are theirs.
    A sampler that chooses by the question chooses by all questions of a row, as they share a clip.
    """
    visual = None
    if "pixels" in batch or "feature_tokens" in batch:
        features = (
            encode(
                config,
                params,
                batch["pixels"],
                dtype=dtype,
                remat=remat,
                frozen_layers=frozen_layers,
            )
            if "pixels" in batch
            else Features(batch["feature_tokens"], batch["feature_response"])
        )
        asking = samplers.asks(sampler or config.sampler.name) and "answer_weights" in batch
        visual = see(
            config,
            params,
            features,
            batch["times"],
            keep=keep,
            sampler=sampler,
            query=ask(params, batch["tokens"], asked_in(batch)) if asking else None,
            frame_mask=batch.get("frame_mask"),
            rng=rng,
            dtype=dtype,
        ).tokens
    mask = segment_mask(batch["segments"]) if packed else None
    if mask is not None and cache is not None:
        mask = jnp.pad(mask, ((0, 0),) * 3 + ((0, cache.length - mask.shape[-1]),))
    tokens = batch["tokens"]
    read = _apply(config, params, "read", dtype, remat)
    return read(visual, tokens, batch["positions"], mask, tokens == visual_id, cache)


def logits(
    config: LvlmConfig, params: Params, hidden: jax.Array, dtype: Any = jnp.float32
) -> jax.Array:
    """hidden float[...,D] -> float32[...,V]."""
    return _apply(config, params, "logits", dtype)(hidden)


def answer_logits(config: LvlmConfig, params: Params, batch: Batch, **options: Any) -> jax.Array:
    """float32[B,A,V] at the batch's answer_positions alone; options as for `forward`."""
    at = answer_hidden(config, params, batch, **options)
    return logits(config, params, at, options.get("dtype", jnp.float32))


def answer_hidden(config: LvlmConfig, params: Params, batch: Batch, **options: Any) -> jax.Array:
    """float[B,A,D] at the batch's answer_positions alone; options as for `forward`."""
    hidden, _ = forward(config, params, batch, **options)
    return spread(jnp.take_along_axis(hidden, batch["answer_positions"][..., None], axis=1))


def loss(
    config: LvlmConfig, params: Params, batch: Batch, **options: Any
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Mean cross-entropy over the answer tokens of the batch, float32, and its metrics.

    Metrics: `loss`, `accuracy` (answer tokens whose best guess is right) and `tokens` (their sum
    of weights). Scores are held for a chunk of the answers at a time, see `models.cross_entropy`.
    """
    target, weight = batch["answer_tokens"], batch["answer_weights"].astype(jnp.float32)
    total = jnp.maximum(weight.sum(), 1e-6)
    each, right = cross_entropy(
        answer_hidden(config, params, batch, **options),
        target,
        lambda hidden: logits(config, params, hidden, options.get("dtype", jnp.float32)),
        chunk_of(target.shape[1], config.decoder.vocab_size),
    )
    value = (each * weight).sum() / total
    right = (right * weight).sum() / total
    return value, {"loss": value, "accuracy": right, "tokens": weight.sum()}


def new_cache(
    config: LvlmConfig,
    batch: int,
    length: int,
    dtype: Any = jnp.float32,
    *,
    unrolled: bool = False,
) -> Cache:
    """An empty key-value cache for `batch` rows of up to `length` positions.

    unrolled: for parameters that are (`is_unrolled`).
    """
    return decoding.new_cache(config.decoder, batch, length, dtype, unrolled=unrolled)


def prefill(
    config: LvlmConfig,
    params: Params,
    batch: Batch,
    cache: Cache,
    last: jax.Array,
    **options: Any,
) -> tuple[jax.Array, Cache]:
    """Reads a prompt of one turn: float32[B,V] after index `last` int32[B] of each row, and cache.

    Rows are right-padded; a row's padding lands in slots that its answer will overwrite.
    """
    hidden, filled = forward(config, params, batch, cache=cache, **options)
    assert filled is not None
    end = jnp.take_along_axis(hidden, last[:, None, None], axis=1)[:, 0]
    return logits(config, params, end, options.get("dtype", jnp.float32)), filled


def decode_step(
    config: LvlmConfig,
    params: Params,
    token: jax.Array,
    position: jax.Array,
    cache: Cache,
    dtype: Any = jnp.float32,
) -> tuple[jax.Array, Cache]:
    """One token int32[B] at position int32[B] of each row -> (float32[B,V], cache)."""
    mask = jnp.arange(cache.length)[None, :] <= position[:, None]
    read = _apply(config, params, "read", dtype)
    hidden, cache = read(None, token[:, None], position[:, None], mask[:, None, None], None, cache)
    return logits(config, params, hidden[:, 0], dtype), cache
