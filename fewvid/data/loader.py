"""From manifests to batches: shuffled, mixed, decoded in threads, batched last.

    manifests ─ groups ─ shuffle ─ mix ─ draw questions, decode, pack (a row) ─ host ─ batch

A row is a pure function of (seed, its index): the order hangs neither on the number of threads
nor of hosts, and the iterator's state is one number.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fewvid.data.batches import (
    Batch,
    BatchShape,
    empty_like,
    pack_row,
    segment_of,
    segment_sizes,
    stack,
)
from fewvid.data.manifest import group_by_media
from fewvid.data.media import BadSamples, Frames, ReadFrames, frame_reader
from fewvid.data.mixtures import Source, mix, read_source
from fewvid.data.sample import Group, Sample
from fewvid.data.tokenizer import Chat
from fewvid.errors import UserError

if TYPE_CHECKING:
    import grain

    from fewvid.data.features import FeatureStore

THREADS = min(16, os.cpu_count() or 1)
CACHE_BYTES = 2 << 30
_BUFFER_BYTES = 512 << 20


def train_iterator(
    sources: Sequence[Source],
    shape: BatchShape,
    chat: Chat,
    *,
    seed: int,
    host: tuple[int, int] = (0, 1),
    threads: int = THREADS,
    features: FeatureStore | None = None,
    cache_frames: bool = False,
    cache_bytes: int = CACHE_BYTES,
    report: BadSamples | None = None,
) -> grain.DatasetIterator[Batch]:
    """An endless iterator of batches (see `row`), with get_state, set_state and close.

    host: (index, count); this host gets rows index::count of every global batch.
    features: cached encoder outputs; batches then carry them in place of pixels.
    cache_frames: keep up to `cache_bytes` of decoded frames in memory.
    report: collects media that did not decode; such a group is replaced by the next of its source.
    Raises UserError here for manifests and questions that do not fit, in `next` for too many bad
    media.
    """
    if not sources:
        raise UserError("a mixture needs at least one source; the key is sources")
    groups = [read_source(source) for source in sources]
    return _iterate(
        groups,
        [source.weight for source in sources],
        shape,
        chat,
        seed=seed,
        host=host,
        threads=threads,
        read=frame_reader(shape.frames, shape.image_size, cache_bytes if cache_frames else 0),
        features=features,
        report=report or BadSamples(),
    )


def eval_batches(
    samples: Sequence[Sample],
    shape: BatchShape,
    chat: Chat,
    *,
    threads: int = THREADS,
    features: FeatureStore | None = None,
    report: BadSamples | None = None,
) -> Iterator[tuple[Batch, list[Group]]]:
    """Every question of every sample once: (batch, the samples of each of its rows).

    Sample i of a row is its segment 2 + i. The last batch is filled with rows of weight 0, which
    have no samples. Media that do not decode are left out and stand in `report`.
    """
    import grain

    groups = group_by_media(samples)
    read = frame_reader(shape.frames, shape.image_size)
    rows = _Rows([groups], shape, chat, read, features, report or BadSamples())
    rows.prepare()
    built = grain.MapDataset.source(range(len(groups))).map(rows.all_of)
    rows_wanted: list[tuple[Batch, Group]] = []
    for found in built.to_iter_dataset(_read_options(threads, shape, 1)):
        rows_wanted += found
        while len(rows_wanted) >= shape.batch_size:
            yield _eval_batch(rows_wanted[: shape.batch_size], shape, chat)
            rows_wanted = rows_wanted[shape.batch_size :]
    if rows_wanted:
        yield _eval_batch(rows_wanted, shape, chat)


def _eval_batch(rows: list[tuple[Batch, Group]], shape: BatchShape, chat: Chat) -> Any:
    missing = shape.batch_size - len(rows)
    blank = empty_like(rows[0][0], chat.pad)
    batch = stack([row for row, _ in rows] + [blank] * missing)
    return batch, [samples for _, samples in rows] + [()] * missing


def _iterate(
    groups: list[list[Group]],
    weights: Sequence[float],
    shape: BatchShape,
    chat: Chat,
    *,
    seed: int,
    host: tuple[int, int],
    threads: int,
    read: ReadFrames,
    features: FeatureStore | None,
    report: BadSamples,
) -> grain.DatasetIterator[Batch]:
    index, count = host
    if shape.batch_size % count:
        raise UserError(f"batch_size {shape.batch_size} does not divide over {count} hosts")
    rows = _Rows(groups, shape, chat, read, features, report)
    rows.prepare()
    order = mix([len(source) for source in groups], weights, seed)
    return iter(
        order.seed(seed)
        .random_map(rows.draw)[index::count]
        .to_iter_dataset(_read_options(threads, shape, count))
        .batch(shape.batch_size // count, drop_remainder=True, batch_fn=stack)
    )


def _read_options(threads: int, shape: BatchShape, hosts: int) -> grain.ReadOptions:
    """About a batch of rows ahead, within a bound: Grain's own 500 rows of video fill a memory."""
    import grain

    row_bytes = shape.frames * shape.image_size**2 * 3
    ahead = min(max(2 * threads, shape.batch_size // hosts), max(1, _BUFFER_BYTES // row_bytes))
    return grain.ReadOptions(num_threads=threads, prefetch_buffer_size=ahead)


@dataclass(frozen=True)
class _Rows:
    """Makes rows of groups. `groups[s][g]` is group g of source s."""

    groups: list[list[Group]]
    shape: BatchShape
    chat: Chat
    read: ReadFrames
    features: FeatureStore | None
    report: BadSamples

    def prepare(self) -> None:
        """Works out all ids before any decoding.

        Raises UserError where a sample does not fit in a row even alone, stating what would.
        """
        samples = [s for source in self.groups for group in source for s in group]
        turns = [turn for sample in samples for turn in sample.turns]
        self.chat.prepare((turn.question for turn in turns), (turn.answer for turn in turns))
        frames = {"text": 0, "image": 1, "video": self.shape.frames}
        needs = []
        for sample in samples:
            size, answer_size = segment_sizes(segment_of(sample, self.chat))
            needs.append((len(self._prefix(sample, frames[sample.media_type])) + size, answer_size))
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
                drawn = rng.permutation(len(group))[: self.shape.questions]
                jitter = self.shape.image_time_jitter * rng.random()
                row, kept = self._row([group[i] for i in drawn], visual, jitter)
                self.report.dropped(len(drawn) - len(kept))
                number = sum(len(groups) for groups in self.groups[:source]) + place
                return row | {"sample": np.array(number, np.int32)}
        raise UserError(f"no media file of source {source} could be read.\n{self.report}")

    def all_of(self, index: int) -> list[tuple[Batch, Group]]:
        """The rows it takes to ask everything about a group, in order; none if it is bad."""
        left = list(self.groups[0][index])
        visual = self._visual(left[0])
        rows: list[tuple[Batch, Group]] = []
        while left and visual is not None:
            asked = left[: self.shape.questions]
            row, kept = self._row(asked, visual, 0.0)
            row["sample"] = np.array(index, np.int32)
            rows.append((row, tuple(asked[i] for i in kept)))
            left = [s for i, s in enumerate(asked) if i not in kept] + left[len(asked) :]
        return rows

    def _prefix(self, sample: Sample, frames: int) -> tuple[int, ...]:
        visual = frames * self.shape.visual_tokens_per_frame
        return self.chat.prefix_ids(visual, sample.system)

    def _pack(self, samples: Sequence[Sample], frames: int) -> tuple[Batch, tuple[int, ...]]:
        segments = [segment_of(sample, self.chat) for sample in samples]
        prefix = self._prefix(samples[0], frames)
        row, kept = pack_row(prefix, segments, self.shape.length, self.shape.answers)
        if self.chat.pad:
            row["tokens"][row["segments"] == 0] = self.chat.pad
        return row, kept

    def _visual(self, sample: Sample) -> Frames | Any | None:
        """The frames (or features) of a sample, None where its media is bad."""
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

    def _row(
        self, samples: Sequence[Sample], visual: Any, jitter: float
    ) -> tuple[Batch, tuple[int, ...]]:
        frames = len(visual.times)
        row, kept = self._pack(samples, frames)
        times = visual.times + jitter if samples[0].media_type == "image" else visual.times
        row["times"] = _padded(times.astype(np.float32), self.shape.frames)
        row["frame_mask"] = np.arange(self.shape.frames) < frames
        if self.features is not None:
            row["feature_tokens"] = _padded(visual.tokens, self.shape.frames)
            row["feature_response"] = _padded(visual.response, self.shape.frames)
        else:
            row["pixels"] = _padded(visual.pixels, self.shape.frames)
        return row, kept


def _padded(array: np.ndarray, frames: int) -> np.ndarray:
    """Zeros after the valid frames, up to T."""
    if len(array) == frames:
        return array
    out = np.zeros((frames, *array.shape[1:]), array.dtype)
    out[: len(array)] = array
    return out
