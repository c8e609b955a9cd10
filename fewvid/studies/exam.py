"""Puts every question about every clip to all runs of a program at once."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fewvid import samplers
from fewvid.models import lvlm
from fewvid.models.attention import mask_of_every_head
from fewvid.models.config import visual_tokens
from fewvid.studies.bank import NOTHING, Bank, lay_out
from fewvid.studies.compiling import Compiled
from fewvid.studies.corpus import Corpus, batch
from fewvid.studies.trial import Program

ROWS = 50  # clips of a batch
LUCK = 1


def ask_all(
    program: Program, params: Any, corpus: Corpus, bank: Bank, *, one_frame: bool = False
) -> np.ndarray:
    """bool[R,n,Q]: whether run r's likeliest valid answer to question q about clip n is right.

    params have a leading axis R. one_frame: every frame is the clip's middle one, times kept.
    The first of program.keep is the K.
    """
    (count, questions), runs = corpus.asked.shape, len(jax.tree.leaves(params)[0])
    right = _compiled(program, one_frame)(params, _keys(runs), corpus, bank, _rows(count))
    return np.asarray(right).reshape(runs, -1, questions)[:, :count]


def prepare(
    program: Program, params: Any, corpus: Corpus, bank: Bank, *, one_frame: bool = False
) -> None:
    """Compiles what `ask_all` will run with such arguments: their shapes are enough."""
    keys = _keys(jax.tree.leaves(params)[0].shape[0])
    rows = _rows(corpus.asked.shape[0])
    _compiled(program, one_frame).make(params, keys, corpus, bank, rows)


def _keys(runs: int) -> jax.Array:
    """Of random choices, for each run its own."""
    return jax.random.split(jax.random.key(LUCK), runs)


def _rows(count: int) -> np.ndarray:
    """The numbers of `count` clips in batches, some again where the last is not full."""
    size = min(ROWS, count)
    return np.resize(np.arange(count, dtype=np.int32), (-(-count // size), size))


@cache
def _compiled(program: Program, one_frame: bool) -> Compiled:
    """The same for every cell that is asked alike."""
    return Compiled(program.jit(partial(_all_rows, program, one_frame)))


def _all_rows(program: Program, one_frame: bool, params, keys, corpus: Corpus, bank: Bank, rows):
    one = partial(_right, program, one_frame)
    over_runs = jax.vmap(one, in_axes=(0, 0, None, None, None))
    found = jax.lax.map(lambda part: over_runs(params, keys, corpus, bank, part), rows)
    return jnp.moveaxis(found, 1, 0)


def _right(program: Program, one_frame: bool, params, key, corpus: Corpus, bank: Bank, rows):
    """bool[B,Q] for the clips at rows int32[B]."""
    chosen = corpus.asked[rows].astype(jnp.int32)
    rng = jax.random.fold_in(key, rows[0])
    ask = partial(_ask, program, one_frame, params, rng, corpus, bank, rows)
    if not samplers.asks(program.sampler):
        return ask(chosen)
    # It chooses by the question, so each must stand alone: as in a chat, not with the others.
    one_by_one = jax.lax.map(lambda column: ask(column[:, None])[:, 0], chosen.T)
    return one_by_one.T


def _ask(
    program: Program,
    one_frame: bool,
    params: Any,
    rng: jax.Array,
    corpus: Corpus,
    bank: Bank,
    rows: jax.Array,
    chosen: jax.Array,
) -> jax.Array:
    """bool[B,S] of some questions of each clip, int32[B,S]."""
    seen = batch(corpus, rows)
    frames, keep = len(corpus.times), program.keep[0]
    if one_frame:
        for name in ("pixels", "feature_tokens", "feature_response"):
            if name in seen:
                middle = seen[name][:, frames // 2, None]
                seen[name] = jnp.broadcast_to(middle, seen[name].shape)
    visual = visual_tokens(program.model, frames, keep)
    text = lay_out(bank, chosen, visual, program.bos, program.visual)
    # Only the first id of each answer: the valid answers differ in it.
    first = text["answer_positions"].reshape(*chosen.shape, -1)[..., 0]
    dtype = jnp.dtype(program.dtype)
    with mask_of_every_head():
        hidden, _ = lvlm.forward(
            program.model,
            params,
            seen | text,
            keep=keep,
            sampler=program.sampler,
            rng=rng,
            dtype=dtype,
            visual_id=program.visual,
        )
    before = jnp.take_along_axis(hidden, first[..., None], axis=1)
    logits = lvlm.logits(program.model, params, before, dtype)
    at = jnp.maximum(chosen, 0)
    valid = bank.valid[at]
    among = jnp.take_along_axis(logits, jnp.maximum(valid, 0), axis=-1)
    best = jnp.where(valid == NOTHING, -jnp.inf, among).argmax(-1)
    return best == bank.right[at]
