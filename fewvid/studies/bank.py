"""Every question of a world with its answer, once, so that a row of a batch is a list of numbers.

A world asks thousands of clips the same few hundred questions. They are turned into ids once; a
row is then drawn and laid out on the device, inside the step, for any K and any number of frames:

    asked int16[clips,Q] --choose--> chosen int32[B,S] --lay_out--> tokens, segments, positions ...
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fewvid.data.shapes.questions import Question
from fewvid.data.tokenizer import Chat
from fewvid.errors import UserError

NOTHING = -1  # in place of a question


class Bank(NamedTuple):
    """n questions with their answers, at most W ids long, of which at most A are answer ids.

    ids int32[n,W] question and answer, then padding; asks int32[n] ids before the answer;
    size int32[n] ids in all; answers int32[n,A], answer_size int32[n]; valid int32[n,C] the first
    ids of the valid answers (-1: none); right int32[n] which of them is the right one.
    """

    ids: jax.Array
    asks: jax.Array
    size: jax.Array
    answers: jax.Array
    answer_size: jax.Array
    valid: jax.Array
    right: jax.Array


@dataclass
class Register:
    """Gives every (question, answer) a number, in order of first appearance."""

    questions: list[Question] = field(default_factory=list)
    _numbers: dict[tuple[str, str], int] = field(default_factory=dict)

    def asked(self, of_each: Iterable[Iterable[Question]], most: int = 0) -> np.ndarray:
        """Numbers of the questions of each clip, int16[clips,Q], filled up with NOTHING.

        Q is the largest number of questions of a clip, or `most` if that is larger.
        """
        rows = [[self._number(question) for question in questions] for questions in of_each]
        width = max([most, *(len(row) for row in rows)])
        table = np.full((len(rows), width), NOTHING, np.int16)
        for row, numbers in zip(table, rows, strict=True):
            row[: len(numbers)] = numbers
        return table

    def _number(self, question: Question) -> int:
        key = (question.text, question.answer)
        if key not in self._numbers:
            self._numbers[key] = len(self.questions)
            self.questions.append(question)
        return self._numbers[key]

    def texts(self) -> list[str]:
        """All words, for a tokenizer."""
        return [text for q in self.questions for text in (q.text, *q.answers)]

    def bank(self, chat: Chat) -> Bank:
        """The questions as arrays. Raises UserError where two valid answers begin alike."""
        rows = [(chat.question_ids(q.text), chat.answer_ids(q.answer)) for q in self.questions]
        firsts = []
        for q in self.questions:
            ids = [chat.answer_ids(answer)[0] for answer in q.answers]
            if len(set(ids)) < len(ids):
                raise UserError(f"valid answers of {q.text!r} begin with the same token: {ids}")
            firsts.append(ids)
        return Bank(
            ids=_table([[*ask, *answer] for ask, answer in rows], chat.pad),
            asks=jnp.array([len(ask) for ask, _ in rows], jnp.int32),
            size=jnp.array([len(ask) + len(answer) for ask, answer in rows], jnp.int32),
            answers=_table([answer for _, answer in rows], chat.pad),
            answer_size=jnp.array([len(answer) for _, answer in rows], jnp.int32),
            valid=_table(firsts, NOTHING),
            right=jnp.array([q.answers.index(q.answer) for q in self.questions], jnp.int32),
        )


def _table(rows: list, fill: int) -> jax.Array:
    out = np.full((len(rows), max(len(row) for row in rows)), fill, np.int32)
    for line, row in zip(out, rows, strict=True):
        line[: len(row)] = row
    return jnp.asarray(out)


def choose(rng: jax.Array, asked: jax.Array, weight: jax.Array, count: int) -> jax.Array:
    """Draws `count` questions for each row, int32[B,S]; NOTHING for a row that may be asked none.

    asked int[B,Q]; weight float32[n] of each question of the bank, 0 for one never to be drawn.
    Without replacement, in proportion to the weights (Gumbel top-k; Vieira 2014, Kool et al. 2019);
    where there are fewer than `count` they come again, so that every row has as many answers,
    whatever kinds of questions are asked.
    """
    there = jnp.where(asked == NOTHING, 0.0, weight[asked])
    score = jnp.log(there) + jax.random.gumbel(rng, asked.shape)
    best, place = jax.lax.top_k(score, count)
    drawn = jnp.take_along_axis(asked.astype(jnp.int32), place, axis=1)
    different = (~jnp.isneginf(best)).sum(axis=1, keepdims=True)
    again = jnp.take_along_axis(drawn, jnp.arange(count) % jnp.maximum(different, 1), axis=1)
    return jnp.where(different > 0, again, NOTHING)


def lay_out(
    bank: Bank, chosen: jax.Array, visual_tokens: int, bos: int | None, visual_id: int
) -> dict[str, jax.Array]:
    """The rows of a batch, as `data.batches.pack_row` makes them but for padding between segments.

    chosen int32[B,S] -> tokens, segments, positions int32[B,P+S*W]; answer_positions,
    answer_tokens int32[B,S*A], answer_weights float32[B,S*A]; P = (bos) + visual_tokens.
    """
    rows, slots = chosen.shape
    width, most = bank.ids.shape[1], bank.answers.shape[1]
    prefix = np.full(visual_tokens, visual_id, np.int32)
    if bos is not None:
        prefix = np.concatenate([[bos], prefix]).astype(np.int32)
    start = len(prefix)
    there, at = chosen >= 0, jnp.maximum(chosen, 0)
    column = jnp.arange(width)
    used = there[..., None] & (column < bank.size[at][..., None])
    number = 2 + jnp.arange(slots)[:, None]
    reply = jnp.arange(most)
    # The id before an answer's first id predicts it.
    first = start + width * jnp.arange(slots) + bank.asks[at] - 1
    asked = there[..., None] & (reply < bank.answer_size[at][..., None])

    def flat(x: jax.Array) -> jax.Array:
        return x.reshape(rows, -1)

    def behind(head: np.ndarray, x: jax.Array) -> jax.Array:
        return jnp.concatenate([jnp.broadcast_to(head, (rows, start)), flat(x)], axis=1)

    return {
        "tokens": behind(prefix, bank.ids[at]),
        "segments": behind(np.ones(start, np.int32), jnp.where(used, number, 0)),
        "positions": behind(np.arange(start), jnp.broadcast_to(start + column, used.shape)),
        "answer_positions": flat(jnp.where(asked, first[..., None] + reply, 0)),
        "answer_tokens": flat(bank.answers[at]),
        "answer_weights": flat(asked).astype(jnp.float32),
    }
