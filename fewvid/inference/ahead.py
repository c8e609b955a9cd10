"""The parts of an answer traced for devices that need not be there, and what they hold.

They are the jitted functions that users run (`parts`, `generate`), on shapes with shardings: rows
over all axes but `tensor`, weights by the one table of `parallel.sharding`, heads of the cache over
`tensor`. Nothing of the model is ever allocated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from fewvid import samplers
from fewvid.inference import generate, parts
from fewvid.models import lvlm
from fewvid.models.attention import placed
from fewvid.models.config import LvlmConfig, candidates, visual_tokens
from fewvid.models.spread import rows_on
from fewvid.parallel.ahead import bytes_of, shaped
from fewvid.parallel.mesh import HEADS, ROWS, batch_sharding, replicated
from fewvid.parallel.sharding import shardings

VISUAL_ID = 4  # any id does: a program is the same whatever stands for a picture


@dataclass(frozen=True)
class Asked:
    """What is asked at once: rows clips of T frames, K of whose tokens are kept each.

    text: ids of a question with what stands around it; tokens: of an answer.
    """

    rows: int
    frames: int
    keep: int
    text: int
    tokens: int

    def prompt(self, config: LvlmConfig) -> int:
        """Ids of a prompt, those of the visual tokens included."""
        return visual_tokens(config, self.frames, self.keep) + self.text


@dataclass(frozen=True)
class Part:
    """One program. arguments: bytes of one device that it is given beside the weights."""

    name: str
    traced: Any
    arguments: int


@dataclass(frozen=True)
class Held:
    """Bytes of one device as long as answers are given: the weights, and the cache of all rows."""

    weights: int
    cache: int


def weights(config: LvlmConfig, mesh: Mesh, dtype: Any, report: Any = None) -> lvlm.Params:
    """The shapes of all weights in `dtype`, placed. report: takes what cannot be split."""
    told = {"report": report} if report else {}
    stacked = jax.eval_shape(lambda: lvlm.init(config, jax.random.key(0)))
    shardings(mesh, stacked, **told)  # says it of the stack, not of each layer of it
    apart = jax.eval_shape(lvlm.unrolled, stacked)
    layout = shardings(mesh, apart, report=lambda _: None)
    typed = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, dtype), apart)
    return jax.tree.map(shaped, typed, layout)


def encoding(
    config: LvlmConfig, asked: Asked, mesh: Mesh, dtype: Any, params: lvlm.Params
) -> tuple[list[Part], Held]:
    """Frames to features, and nothing after them: the encoder's weights alone are held."""
    part, _ = _encode(config, asked, mesh, dtype, params)
    return [part], Held(bytes_of(params["encoder"]), 0)


def answering(
    config: LvlmConfig, asked: Asked, mesh: Mesh, dtype: Any, params: lvlm.Params
) -> tuple[list[Part], Held]:
    """All parts of an answer in their order; the last, `token`, is run once a token of it."""
    rows, once = batch_sharding(mesh), replicated(mesh)
    sampler, made = config.sampler.name, []

    def trace(name: str, function: Any, *given: Any, **static: Any) -> Any:
        """Notes the program of a part; returns the shapes of its results, split by rows."""
        with placed(mesh, ROWS, HEADS), rows_on(rows):
            traced = function.trace(params, *given, **static)
        made.append(Part(name, traced, _given(given)))
        return _by_rows(traced.out_info, asked.rows, rows, once)

    encode, features = _encode(config, asked, mesh, dtype, params)
    made.append(encode)
    row: Any = jax.ShapeDtypeStruct((asked.rows,), jnp.int32, sharding=rows)
    times = jax.ShapeDtypeStruct((asked.rows, asked.frames), jnp.float32, sharding=rows)
    chosen = None
    if asked.keep < candidates(config):
        key = shaped(jax.eval_shape(lambda: jax.random.key(0)), once)
        ids = jax.ShapeDtypeStruct((asked.rows, asked.text), jnp.int32, sharding=rows)
        question = ids if samplers.asks(sampler) else None
        how = {"config": config, "keep": asked.keep, "sampler": sampler, "dtype": dtype}
        chosen, _ = trace("select", parts.select, features, times, key, question, **how)
    how = {"config": config, "dtype": dtype}
    visual = trace("adapt", parts.adapt, features, times, chosen, **how)
    length = asked.prompt(config)
    prompt = jax.ShapeDtypeStruct((asked.rows, length), jnp.int32, sharding=rows)
    number: Any = jax.ShapeDtypeStruct((), jnp.int32, sharding=once)
    slots = length + asked.tokens
    trace("prompt", parts.read, visual, prompt, row, number, length=slots, **how)
    cache = _cache(config, asked.rows, slots, dtype, mesh)
    ended: Any = jax.ShapeDtypeStruct((asked.rows,), jnp.bool_, sharding=rows)
    draw = jax.tree.map(
        lambda leaf: shaped(leaf, once), jax.eval_shape(lambda: generate.Draw.of(VISUAL_ID))
    )
    state = generate.State(row, row, ended, number, cache)
    trace("token", generate.extend, state, draw, count=1, **how)
    return made, Held(bytes_of(params), bytes_of(cache))


def _encode(
    config: LvlmConfig, asked: Asked, mesh: Mesh, dtype: Any, params: lvlm.Params
) -> tuple[Part, Any]:
    """The part that encodes, and the shapes of the features."""
    rows, side = batch_sharding(mesh), config.encoder.image_size
    shape = (asked.rows, asked.frames, side, side, 3)
    pixels = jax.ShapeDtypeStruct(shape, jnp.uint8, sharding=rows)
    only = {"encoder": params["encoder"]}
    with placed(mesh, ROWS, HEADS), rows_on(rows):
        traced = parts.encode.trace(only, pixels, config=config, dtype=dtype)
    features = _by_rows(traced.out_info, asked.rows, rows, replicated(mesh))
    return Part("encode", traced, bytes_of(pixels)), features


def _cache(config: LvlmConfig, rows: int, slots: int, dtype: Any, mesh: Mesh) -> lvlm.Cache:
    """The shapes of a cache: rows as a batch's, heads over `tensor` where it divides them."""
    empty = jax.eval_shape(lambda: lvlm.new_cache(config, rows, slots, dtype, unrolled=True))
    heads = HEADS if config.decoder.kv_heads % mesh.shape[HEADS] == 0 else None
    where = NamedSharding(mesh, P(ROWS, None, heads))
    return jax.tree.map(lambda leaf: shaped(leaf, where), empty)


def _by_rows(tree: Any, rows: int, split: NamedSharding, whole: NamedSharding) -> Any:
    """Shapes whose first axis is that of the rows, split over them; others whole."""

    def one(leaf: Any) -> jax.ShapeDtypeStruct:
        return shaped(leaf, split if leaf.shape[:1] == (rows,) else whole)

    return jax.tree.map(one, tree)


def _given(arguments: Any) -> int:
    """Bytes of a part's arguments, but for the cache, which is counted as held."""
    caches = (lvlm.Cache,)
    leaves = jax.tree.leaves(arguments, is_leaf=lambda leaf: isinstance(leaf, caches))
    return bytes_of([leaf for leaf in leaves if not isinstance(leaf, caches) and leaf.ndim])
