"""Puts a manifest's questions to a model, many at once, without generating a word.

The answer tokens are fed in and the model's best guess is read off before each. Greedy generation
gives exactly the right answer if and only if every one of these guesses is right, so `exact` is
what `chat` would answer, at the cost of one forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fewvid.data.batches import Batch, BatchShape
from fewvid.data.features import FeatureStore
from fewvid.data.loader import eval_batches
from fewvid.data.manifest import group_by_media
from fewvid.data.sample import Sample
from fewvid.data.tokenizer import Chat
from fewvid.errors import UserError
from fewvid.evaluation.scores import Answered
from fewvid.models import lvlm
from fewvid.models.config import LvlmConfig, visual_tokens, visual_tokens_per_frame

Progress = Callable[[int, int], None]


def ask(
    config: LvlmConfig,
    params: Any,
    chat: Chat,
    samples: Sequence[Sample],
    *,
    frames: int,
    keep: int | None = None,
    sampler: str | None = None,
    one_frame: bool = False,
    batch_size: int = 32,
    questions: int = 8,
    features: FeatureStore | None = None,
    progress: Progress | None = None,
) -> list[Answered]:
    """All questions of `samples` (records with `answers`, `kind` and `dimension`), in batches.

    features: what `encode` gave for these samples, where the encoder is still the same one.
    one_frame: every frame of a clip is replaced by its middle one, times kept, which shows how
      much of the accuracy needs more than a single frame.
    progress(done, total) counts files while they are encoded (without `features`), then questions.
    Raises UserError for a sample without valid answers, or whose valid answers begin alike.
    """
    firsts = {sample.id: _first_tokens(sample, chat) for sample in samples}
    shape = _shape(config, chat, samples, frames, keep, batch_size, questions)
    features = features or encode(config, params, samples, frames=frames, progress=progress)
    guess = jax.jit(partial(_guess, config, keep, sampler))
    most = max(len(ids) for ids in firsts.values())
    answered: list[Answered] = []
    for batch, rows in eval_batches(samples, shape, chat, features=features):
        if one_frame:
            batch = _repeat_one(batch)
        valid = _valid_ids(batch, rows, firsts, most)
        best, among = (np.asarray(x) for x in guess(params, batch, valid))
        right = best == batch["answer_tokens"]
        turn = np.take_along_axis(batch["segments"], batch["answer_positions"], axis=1) - 2
        for b, asked in enumerate(rows):
            for i, sample in enumerate(asked):
                at = np.flatnonzero((turn[b] == i) & (batch["answer_weights"][b] > 0))
                wanted = sample.answers.index(sample.turns[0].answer)
                answered.append(
                    Answered(
                        kind=sample.kind or "static",
                        dimension=sample.dimension or "all",
                        valid=int(among[b, at[0]]) == wanted,
                        exact=bool(right[b, at].all()),
                        chance=1 / len(sample.answers),
                    )
                )
        if progress:
            progress(len(answered), len(samples))
    return answered


def encode(
    config: LvlmConfig,
    params: Any,
    samples: Sequence[Sample],
    *,
    frames: int,
    progress: Progress | None = None,
) -> FeatureStore:
    """Encodes every media file of the samples once; progress(done, total) counts files."""
    shape = BatchShape(1, frames, config.encoder.side, 1, length=frames + 1, answers=1)
    apply = jax.jit(partial(lvlm.encode, config))

    def run(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = apply(params, pixels)
        return np.asarray(found.tokens), np.asarray(found.response)

    return FeatureStore.build(group_by_media(samples), shape, run, progress)


def _guess(config: LvlmConfig, keep: int | None, sampler: str | None, params, batch, valid):
    """Best token int32[B,A], and the place of the best of the valid ids int32[B,A,C] (-1: none)."""
    logits = lvlm.answer_logits(
        config, params, batch, keep=keep, sampler=sampler, rng=jax.random.key(0)
    )
    among = jnp.take_along_axis(logits, jnp.maximum(valid, 0), axis=-1)
    return logits.argmax(-1), jnp.where(valid >= 0, among, -jnp.inf).argmax(-1)


def _first_tokens(sample: Sample, chat: Chat) -> list[int]:
    if len(sample.turns) != 1 or sample.turns[0].answer not in sample.answers:
        raise UserError(
            f"sample {sample.id!r} cannot be scored: it needs one question whose answer is among "
            f"its `answers`, got {len(sample.turns)} and {list(sample.answers)}"
        )
    firsts = [chat.answer_ids(answer)[0] for answer in sample.answers]
    if len(set(firsts)) < len(firsts):
        raise UserError(
            f"sample {sample.id!r}: two of its valid answers {list(sample.answers)} begin with the "
            "same token, so they cannot be told apart by it"
        )
    return firsts


def _shape(
    config: LvlmConfig,
    chat: Chat,
    samples: Sequence[Sample],
    frames: int,
    keep: int | None,
    batch_size: int,
    questions: int,
) -> BatchShape:
    turns = [turn for sample in samples for turn in sample.turns]
    asked = max(len(chat.question_ids(turn.question)) for turn in turns)
    replied = max(len(chat.answer_ids(turn.answer)) for turn in turns)
    most_frames = frames if any(s.media_type == "video" for s in samples) else 1
    return BatchShape(
        batch_size=batch_size,
        frames=most_frames,
        image_size=config.encoder.side,
        visual_tokens_per_frame=visual_tokens_per_frame(config, keep),
        closing=int(config.adapter.newline),
        length=len(chat.prefix_ids(visual_tokens(config, most_frames, keep)))
        + questions * (asked + replied),
        answers=questions * replied,
        questions=questions,
    )


def _valid_ids(batch: Batch, rows: Sequence[Sequence[Sample]], firsts: Any, most: int):
    """First tokens of the valid answers of the question that each answer position belongs to."""
    valid = np.full((*batch["answer_positions"].shape, most), -1, np.int32)
    turn = np.take_along_axis(batch["segments"], batch["answer_positions"], axis=1) - 2
    for b, asked in enumerate(rows):
        for i, sample in enumerate(asked):
            ids = firsts[sample.id]
            valid[b, turn[b] == i, : len(ids)] = ids
    return valid


def _repeat_one(batch: Batch) -> Batch:
    """Every valid frame becomes the middle one of its clip."""
    count = batch["frame_mask"].sum(axis=1)
    middle = (count // 2)[:, None]
    repeated = dict(batch)
    for key in ("pixels", "feature_tokens", "feature_response"):
        if key in batch:
            index = middle.reshape(-1, *[1] * (batch[key].ndim - 1))
            one = np.take_along_axis(batch[key], index, axis=1)
            repeated[key] = np.broadcast_to(one, batch[key].shape)
    return repeated
