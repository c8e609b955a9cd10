"""Clips or pictures in memory, with what is asked of each, on the device that trains on them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fewvid.data.frames import choose
from fewvid.data.shapes.arrays import draw
from fewvid.data.shapes.variant import FPS
from fewvid.data.shapes.world import World
from fewvid.models import lvlm
from fewvid.models.config import LvlmConfig
from fewvid.studies.bank import NOTHING, Register

AT_ONCE = 1024  # frames encoded in one call


class Drawn(NamedTuple):
    """On the host: pixels uint8[n,T,S,S,3], times float32[T] seconds, and what is asked of each
    clip, int16[n,Q] numbers of a `Register`."""

    pixels: np.ndarray
    times: np.ndarray
    asked: np.ndarray


class Corpus(NamedTuple):
    """What a step reads of n clips: one of pixels and tokens is None.

    pixels uint8[n,T,S,S,3]; tokens float[n,T,N,D] and response float32[n,T,N] of a frozen encoder;
    asked int16[n,Q]; times float32[T], seconds.
    """

    pixels: jax.Array | None
    tokens: jax.Array | None
    response: jax.Array | None
    asked: jax.Array
    times: jax.Array


def drawn(world: World, split: str, medium: str, count: int, register: Register) -> Drawn:
    """The first `count` samples of one medium of a split."""
    pixels, questions = draw(world, split, medium, 0, count)
    times = np.arange(pixels.shape[1], dtype=np.float32) / FPS
    return Drawn(pixels, times, register.asked(questions))


def thinned(part: Drawn, frames: int) -> Drawn:
    """The same clips with fewer frames, chosen by time as those of a video file are."""
    chosen = choose(part.times, frames)
    if len(chosen) == len(part.times):
        return part
    return Drawn(part.pixels[:, chosen], part.times[chosen], part.asked)


def joined(parts: Sequence[Drawn]) -> Drawn:
    """Several sets of clips behind each other, all at the same times."""
    width = max(part.asked.shape[1] for part in parts)
    asked = [
        np.pad(p.asked, ((0, 0), (0, width - p.asked.shape[1])), constant_values=NOTHING)
        for p in parts
    ]
    pixels = np.concatenate([part.pixels for part in parts])
    return Drawn(pixels, parts[0].times, np.concatenate(asked))


def with_pixels(part: Drawn) -> Corpus:
    """A corpus whose frames the step encodes itself."""
    pixels, times, asked = map(jnp.asarray, part)
    return Corpus(pixels, None, None, asked, times)


def encoded(part: Drawn, config: LvlmConfig, params: Any, dtype: Any) -> Corpus:
    """A corpus whose frames are encoded now, once, by the encoder of `params`."""
    count, frames = part.pixels.shape[:2]
    flat = part.pixels.reshape(count * frames, 1, *part.pixels.shape[2:])
    encode = _encoder(config, dtype)
    encoder = {"encoder": params["encoder"]}
    size = min(AT_ONCE, len(flat))
    tokens, responses = [], []
    for start in range(0, len(flat), size):
        block = flat[start : start + size]
        short = size - len(block)
        block = np.pad(block, ((0, short), *[(0, 0)] * 4)) if short else block
        found = encode(encoder, block)
        tokens.append(found.tokens[: size - short, 0])
        responses.append(found.response[: size - short, 0])
    stacked = jnp.concatenate(tokens).reshape(count, frames, *tokens[0].shape[1:])
    response = jnp.concatenate(responses).reshape(count, frames, -1)
    return Corpus(None, stacked, response, jnp.asarray(part.asked), jnp.asarray(part.times))


def shapes(parts: Sequence[Drawn], config: LvlmConfig, dtype: Any, *, encoded: bool) -> Corpus:
    """What `joined` parts will be, encoded or with pixels: `jax.ShapeDtypeStruct`s."""
    array: Any = jax.ShapeDtypeStruct
    count, frames = sum(len(part.asked) for part in parts), parts[0].pixels.shape[1]
    asked = array((count, max(p.asked.shape[1] for p in parts)), parts[0].asked.dtype)
    times = array((frames,), jnp.float32)
    if not encoded:
        pixels = array((count, *parts[0].pixels.shape[1:]), jnp.uint8)
        return Corpus(pixels, None, None, asked, times)
    each, width = (count, frames, config.encoder.tokens), config.encoder.width
    return Corpus(None, array((*each, width), dtype), array(each, jnp.float32), asked, times)


@cache
def _encoder(config: LvlmConfig, dtype: Any) -> Any:
    """Compiled once for all corpora."""
    return jax.jit(partial(_encode, config, dtype))


def _encode(config: LvlmConfig, dtype: Any, params: Any, pixels: jax.Array) -> lvlm.Features:
    found = lvlm.encode(config, params, pixels, dtype=dtype)
    return lvlm.Features(found.tokens.astype(dtype), found.response)


def batch(corpus: Corpus, rows: jax.Array) -> dict[str, jax.Array]:
    """The frames and times of rows int32[B], as `models.lvlm` reads them."""
    times = jnp.broadcast_to(corpus.times, (len(rows), len(corpus.times)))
    found = {"times": times, "frame_mask": jnp.ones(times.shape, bool)}
    if corpus.pixels is not None:
        return found | {"pixels": corpus.pixels[rows]}
    assert corpus.tokens is not None
    assert corpus.response is not None
    return found | {
        "feature_tokens": corpus.tokens[rows],
        "feature_response": corpus.response[rows],
    }
