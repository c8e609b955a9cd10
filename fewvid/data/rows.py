"""Rows: one group's questions, frames and ids, put together for a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fewvid.data.batches import Batch, BatchShape, pack_row, segment_of, segment_sizes
from fewvid.data.media import BadSamples, ReadFrames
from fewvid.data.sample import Group, Sample
from fewvid.data.tokenizer import Chat
from fewvid.errors import UserError

if TYPE_CHECKING:
    from fewvid.data.features import FeatureStore

AT_ONCE = 256  # files read ahead of the one that is wanted


@dataclass(frozen=True)
class Rows:
    """Makes rows of groups: `groups[s][g]` is group g of source s, whose manifest is names[s].

    Frames come from `features` where they are cached, else from `read`. Called by many threads.
    """

    groups: list[list[Group]]
    shape: BatchShape
    chat: Chat
    read: ReadFrames
    features: FeatureStore | None
    report: BadSamples
    names: tuple[str, ...] = ()

    def prepare(self) -> None:
        """Works out all ids before any decoding.

        Raises UserError where a sample does not fit in a row even alone, stating what would.
        """
        self.report.expect(group for source in self.groups for group in source)
        samples = [s for source in self.groups for group in source for s in group]
        turns = [turn for sample in samples for turn in sample.turns]
        self.chat.prepare((turn.question for turn in turns), (turn.answer for turn in turns))
        frames = {"text": 0, "image": 1, "video": self.shape.frames}
        needs = []
        for sample in samples:
            size, answer_size = segment_sizes(segment_of(sample, self.chat))
            count = frames[sample.media_type]
            empty = self.shape.length - self.shape.room(count)
            needs.append((len(self._prefix(sample, count)) + size + empty, answer_size))
        for flag, room, need in (
            ("length", self.shape.length, [size for size, _ in needs]),
            ("answers", self.shape.answers, [size for _, size in needs]),
        ):
            over = [sample.id for sample, size in zip(samples, need, strict=True) if size > room]
            if over:
                raise UserError(
                    f"{len(over)} of {len(samples)} samples do not fit in {flag}={room} (the first "
                    f"is {over[0]!r}); set {flag} to {max(need)} or take them out"
                )

    def draw(self, at: tuple[int, int], rng: np.random.Generator) -> Batch:
        """A training row of one group, or of the next of its source that decodes."""
        source, first = at
        size = len(self.groups[source])
        for step in range(size):
            place = (first + step) % size
            group = self.groups[source][place]
            visual = self._visual(group[0])
            if visual is not None:
                row = self.text_row(group, len(visual.times), rng)
                row |= self.times(visual) | self._frames(visual)
                number = sum(len(groups) for groups in self.groups[:source]) + place
                return row | {"sample": np.array(number, np.int32)}
        raise self.nothing_of(source)

    def nothing_of(self, source: int) -> UserError:
        """The error for a source of which no file could be read."""
        name = self.names[source] if self.names else f"source {source}"
        return UserError(f"no media file of {name} could be read: {self.report.first()}")

    def visuals(self, source: int, threads: int) -> Iterator[Any]:
        """The `Frames` or `CachedFrames` of each group of a source, in order; None where bad."""
        with ThreadPoolExecutor(threads) as pool:
            for start in range(0, len(self.groups[source]), AT_ONCE):
                part = self.groups[source][start : start + AT_ONCE]
                yield from pool.map(lambda group: self._visual(group[0]), part)

    def text_row(self, group: Group, frames: int, rng: np.random.Generator) -> Batch:
        """A training row of one group without its frames: ids alone."""
        drawn = rng.permutation(len(group))[: self.shape.questions]
        row, kept = self._pack([group[i] for i in drawn], frames)
        self.report.dropped(len(drawn) - len(kept))
        return row

    def all_of(self, index: int) -> list[tuple[Batch, Group]]:
        """The rows it takes to ask everything about a group, in order; none if it is bad."""
        left = list(self.groups[0][index])
        visual = self._visual(left[0])
        rows: list[tuple[Batch, Group]] = []
        while left and visual is not None:
            asked = left[: self.shape.questions]
            row, kept = self._pack(asked, len(visual.times))
            row |= self.times(visual) | self._frames(visual)
            row["sample"] = np.array(index, np.int32)
            rows.append((row, tuple(asked[i] for i in kept)))
            left = [s for i, s in enumerate(asked) if i not in kept] + left[len(asked) :]
        return rows

    def _prefix(self, sample: Sample, frames: int) -> tuple[int, ...]:
        return self.chat.prefix_ids(self.shape.visual_tokens(frames), sample.system)

    def _pack(self, samples: Sequence[Sample], frames: int) -> tuple[Batch, tuple[int, ...]]:
        segments = [segment_of(sample, self.chat) for sample in samples]
        prefix = self._prefix(samples[0], frames)
        row, kept = pack_row(prefix, segments, self.shape.room(frames), self.shape.answers)
        for key in ("tokens", "segments", "positions"):
            row[key] = _padded(row[key], self.shape.length)
        if self.chat.pad:
            row["tokens"][row["segments"] == 0] = self.chat.pad
        return row, kept

    def _visual(self, sample: Sample) -> Any:
        """The `Frames` or `CachedFrames` of a sample, None where its media is bad."""
        name = str(sample.media)
        if name in self.report.reasons:
            return None
        try:
            found = self._read(sample)
        except (UserError, OSError) as error:
            self.report.bad(name, str(error))
            return None
        if sample.media is not None:
            self.report.good(name)
        return found

    def _read(self, sample: Sample) -> Any:
        return self.read(sample) if self.features is None else self.features.get(sample)

    def times(self, visual: Any) -> Batch:
        """times float32[T] seconds and frame_mask bool[T]."""
        times = visual.times.astype(np.float32)
        mask = np.arange(self.shape.frames) < len(times)
        return {"times": _padded(times, self.shape.frames), "frame_mask": mask}

    def _frames(self, visual: Any) -> Batch:
        if self.features is not None:
            return {
                "feature_tokens": _padded(visual.tokens, self.shape.frames),
                "feature_response": _padded(visual.response, self.shape.frames),
            }
        return {"pixels": _padded(visual.pixels, self.shape.frames)}


def _padded(array: np.ndarray, size: int) -> np.ndarray:
    """Zeros after the valid frames, up to T (or after the ids that a row may hold, up to L)."""
    if len(array) == size:
        return array
    out = np.zeros((size, *array.shape[1:]), array.dtype)
    out[: len(array)] = array
    return out
