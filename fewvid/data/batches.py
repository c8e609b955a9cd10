"""Rows and batches of static shape: where ids, questions and frames get their places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fewvid.data.sample import Sample
from fewvid.data.tokenizer import Chat
from fewvid.errors import UserError

Ids = Sequence[int]
Segment = Sequence[tuple[Ids, Ids]]  # the (question ids, answer ids) of one conversation
Batch = dict[str, np.ndarray]


@dataclass(frozen=True)
class BatchShape:
    """The sizes that every batch of a run has, so that a step compiles once.

    batch_size: B, rows of the global batch (all hosts together).
    frames: T; an image uses one of them. image_size: H = W, pixels.
    visual_tokens_per_frame: M, see `models.config.visual_tokens_per_frame`; closing: how many more
      a clip has behind its last frame (1 where the model has a newline).
    length: L, ids of a row. answers: A, answer ids of a row, eos included.
    questions: how many samples of one media file may share a row.
    narrows_by: by how much M may be lowered after packing (see `data.narrow`).
    """

    batch_size: int
    frames: int
    image_size: int
    visual_tokens_per_frame: int
    length: int
    answers: int
    questions: int = 1
    narrows_by: int = 0
    closing: int = 0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1 and name not in ("narrows_by", "closing"):
                raise UserError(f"{name} must be positive, got {value}")
        if self.length <= self.visual_tokens(self.frames):
            raise UserError(
                f"length {self.length} has no room for text after {self.frames} frames of "
                f"{self.visual_tokens_per_frame} visual tokens; raise length, lower frames or keep"
            )

    def visual_tokens(self, frames: int) -> int:
        """Placeholders of a row with so many of the T frames; none where it has no frames."""
        return frames * self.visual_tokens_per_frame + (self.closing if frames else 0)

    def room(self, frames: int) -> int:
        """How many ids a row of so many of the T frames may hold.

        A frame that a row lacks shortens it with the others when M is lowered, but has no visual
        tokens to give up: where that will come, as many ids are left empty.
        """
        return self.length - (self.frames - frames) * self.narrows_by


class Packed(NamedTuple):
    """A row's arrays and which of the segments found room in it (indices, in order)."""

    row: Batch
    kept: tuple[int, ...]


def segment_of(sample: Sample, chat: Chat) -> Segment:
    """The ids of a sample's turns: one segment, whatever their number."""
    return [
        (chat.question_ids(turn.question, at == 0), chat.answer_ids(turn.answer))
        for at, turn in enumerate(sample.turns)
    ]


def segment_sizes(segment: Segment) -> tuple[int, int]:
    """(all ids, answer ids) that a segment takes in a row."""
    answer_size = sum(len(answer) for _, answer in segment)
    return sum(len(question) for question, _ in segment) + answer_size, answer_size


def pack_row(prefix_ids: Ids, turns: Sequence[Segment], length: int, answers: int) -> Packed:
    """Puts several independent conversations behind one shared prefix, as if each were alone.

    A clip is encoded once and asked several questions. A question sees the clip and itself:

                     <bos> vis vis | where is it ? left | is it red ? no | pad
        tokens       [---- P ids --|--------------------|----------------|----]
        segments       1    1   1  |   2    2  2 2   2  |  3  3   3  3 3 |  0
        positions      0    1   2  |   3    4  5 6   7  |  3  4   5  6 7 |  0

                          1 1 1 2 2 2 3 3      A query (line) reads a key (column) where x:
                     1    x . . . . . . .      causal, AND the same segment OR segment 1.
                     1    x x . . . . . .      Segment 3 jumps over segment 2, and its rotary
                     1    x x x . . . . .      positions go on from the prefix, so its numbers
                     2    x x x x . . . .      are those of a row in which it stands alone.
                     2    x x x x x . . .
                     2    x x x x x x . .
                     3    x x x . . . x .
                     3    x x x . . . x x

    turns: one item a segment; an item is the (question ids, answer ids) pairs of a conversation,
      which all belong to that segment and see those before them.
    A segment that does not fit in what is left of `length` ids and `answers` answer ids is left
    out whole; `kept` says which went in. Nothing is ever cut.

    Returns tokens, segments, positions int32[L]; answer_positions, answer_tokens int32[A],
    answer_weights float32[A]: the id at answer_positions predicts answer_tokens.
    Raises UserError where a segment could not even fit alone.
    """
    start = len(prefix_ids)
    tokens = list(prefix_ids)
    segments = [1] * start
    positions = list(range(start))
    at: list[int] = []
    target: list[int] = []
    kept: list[int] = []
    for number, segment in enumerate(turns):
        size, answer_size = segment_sizes(segment)
        if start + size > length:
            raise UserError(
                f"a conversation of {size} ids does not fit behind {start} ids of prefix in a row "
                f"of {length}; set length to {start + size} or more, or lower frames or keep"
            )
        if answer_size > answers:
            raise UserError(
                f"{answer_size} answer ids do not fit in {answers}; set answers to {answer_size} "
                "or more"
            )
        if len(tokens) + size > length or len(at) + answer_size > answers:
            continue
        kept.append(number)
        segments += [len(kept) + 1] * size
        positions += range(start, start + size)
        for question_ids, answer_ids in segment:
            tokens += question_ids
            at += range(len(tokens) - 1, len(tokens) - 1 + len(answer_ids))
            target += answer_ids
            tokens += answer_ids
    row = {
        "tokens": _fill(tokens, length),
        "segments": _fill(segments, length),
        "positions": _fill(positions, length),
        "answer_positions": _fill(at, answers),
        "answer_tokens": _fill(target, answers),
        "answer_weights": (np.arange(answers) < len(at)).astype(np.float32),
    }
    return Packed(row, tuple(kept))


def stack(rows: Sequence[Batch]) -> Batch:
    """Rows to a batch: a new leading axis B."""
    return {key: np.stack([row[key] for row in rows]) for key in rows[0]}


def empty_like(row: Batch, pad: int) -> Batch:
    """A row that weighs nothing, to fill the last batch of an evaluation; its sample is -1."""
    blank = {key: np.zeros_like(value) for key, value in row.items()}
    blank["tokens"] = np.full_like(row["tokens"], pad)
    blank["sample"] = np.full_like(row["sample"], -1)
    return blank


def _fill(values: Sequence[int], size: int) -> np.ndarray:
    out = np.zeros(size, np.int32)
    out[: len(values)] = values
    return out
