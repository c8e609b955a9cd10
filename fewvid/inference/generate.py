"""Greedy and temperature generation: one jitted loop over a key-value cache.

`generate` gives whole answers; `stream` runs the same loop a few tokens at a time. Both start from
the logits after the prompt (`parts.read`, or `lvlm.prefill`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fewvid.models import lvlm
from fewvid.models.config import LvlmConfig


class State(NamedTuple):
    """Where a generation stands.

    token int32[B], the last one given out; position int32[B], its place in the row; done bool[B],
    that it was the end; step int32[], tokens given out so far, which also seeds the draws.
    """

    token: jax.Array
    position: jax.Array
    done: jax.Array
    step: jax.Array
    cache: lvlm.Cache


class Draw(NamedTuple):
    """How a token is drawn: temperature float32[] (0: the best one), rng key, eos int32[]."""

    temperature: jax.Array
    rng: jax.Array
    eos: jax.Array

    @classmethod
    def of(cls, eos: int, temperature: float = 0.0, seed: int = 0) -> Draw:
        return cls(jnp.float32(temperature), jax.random.key(seed), jnp.int32(eos))


def choose(logits: jax.Array, step: jax.Array, draw: Draw) -> jax.Array:
    """float32[B,V] -> int32[B]. The same seed and step give the same draw."""

    def random() -> jax.Array:
        key = jax.random.fold_in(draw.rng, step)
        return jax.random.categorical(key, logits / draw.temperature)

    token = jax.lax.cond(draw.temperature > 0, random, lambda: logits.argmax(-1))
    return token.astype(jnp.int32)


@partial(jax.jit, donate_argnames=("cache",))
def begin(logits: jax.Array, last: jax.Array, cache: lvlm.Cache, draw: Draw) -> State:
    """The first token, from the logits float32[B,V] after a prompt that ends at `last` int32[B]."""
    token = choose(logits, jnp.int32(0), draw)
    return State(token, last + 1, token == draw.eos, jnp.int32(1), cache)


@partial(jax.jit, static_argnames=("config", "count", "dtype"), donate_argnames=("state",))
def extend(
    params: lvlm.Params,
    state: State,
    draw: Draw,
    *,
    config: LvlmConfig,
    count: int,
    dtype: Any = jnp.float32,
) -> tuple[jax.Array, State]:
    """Up to `count` further tokens int32[B,count], eos from a row's end on; stops when all end."""

    def body(carry: tuple[jax.Array, jax.Array, State]) -> tuple[jax.Array, jax.Array, State]:
        i, tokens, state = carry
        at = (state.token, state.position, state.cache)
        logits, cache = lvlm.decode_step(config, params, *at, dtype)
        token = jnp.where(state.done, draw.eos, choose(logits, state.step, draw))
        done = state.done | (token == draw.eos)
        after = State(token, state.position + 1, done, state.step + 1, cache)
        return i + 1, tokens.at[:, i].set(token), after

    tokens = jnp.broadcast_to(draw.eos, (len(state.token), count))
    start = (jnp.int32(0), tokens, state)
    going = lambda carry: (carry[0] < count) & ~carry[2].done.all()  # noqa: E731
    _, tokens, state = jax.lax.while_loop(going, body, start)
    return tokens, state


def generate(
    config: LvlmConfig,
    params: lvlm.Params,
    logits: jax.Array,
    last: jax.Array,
    cache: lvlm.Cache,
    *,
    max_tokens: int,
    draw: Draw,
    dtype: Any = jnp.float32,
) -> jax.Array:
    """Whole answers int32[B,max_tokens], filled up with eos. `cache` is used up.

    The cache needs max_tokens - 1 slots after the longest prompt.
    """
    state = begin(logits, last, cache, draw)
    first = state.token[:, None]
    if max_tokens == 1:
        return first
    rest, _ = extend(params, state, draw, config=config, count=max_tokens - 1, dtype=dtype)
    return jnp.concatenate([first, rest], axis=1)


def stream(
    config: LvlmConfig,
    params: lvlm.Params,
    logits: jax.Array,
    last: jax.Array,
    cache: lvlm.Cache,
    *,
    max_tokens: int,
    draw: Draw,
    chunk: int = 4,
    dtype: Any = jnp.float32,
    run: Callable[..., Any] = lambda function, *given, **static: function(*given, **static),
) -> Iterator[np.ndarray]:
    """The tokens that `generate` gives, in pieces int32[B,<=chunk] as soon as each is there.

    run: calls a jitted function; `Programs.run` there counts the time.
    """
    state = run(begin, logits, last, cache, draw)
    yield np.asarray(state.token)[:, None]
    given = 1
    while given < max_tokens and not bool(state.done.all()):
        tokens, state = run(extend, params, state, draw, config=config, count=chunk, dtype=dtype)
        yield np.asarray(tokens)[:, : max_tokens - given]
        given += chunk
