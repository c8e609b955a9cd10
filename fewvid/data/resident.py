"""Data that stays on the device: for sets small enough, a batch is only a list of row numbers.

Rows are packed once, files decoded (or encoded) once, and all of it is put on the devices as one
table; a step gathers its batch there. A host that would be too slow to feed the device then has
next to nothing to do. Frames stand in a flat table of their own, so that the many rows of one
clip share its frames:

    rows  tokens[R,L] ... frames[R,T] ──┐
    frame table  pixels[F,H,W,3]  <─────┘   (or feature_tokens[F,N,D], feature_response[F,N])
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from fewvid.data.batches import Batch, BatchShape, stack
from fewvid.data.loader import THREADS
from fewvid.data.media import BadSamples, frame_reader
from fewvid.data.mixtures import Source, read_source
from fewvid.data.rows import Rows
from fewvid.data.share import Batches, share_of
from fewvid.data.tokenizer import Chat
from fewvid.errors import UserError

if TYPE_CHECKING:
    from fewvid.data.features import FeatureStore

LIMIT_BYTES = 32 << 30
FRAME_KEYS = ("pixels", "feature_tokens", "feature_response")
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Resident:
    """table: the arrays; spans: where each source's rows begin and end; samples: int32[R], the
    number of each row's group, counted through the sources; see `build`.
    """

    table: dict[str, np.ndarray]
    samples: np.ndarray
    spans: tuple[tuple[int, int], ...]
    weights: tuple[float, ...]
    batch_size: int

    def iterator(self, seed: int, rows: Sequence[int] | None = None) -> Batches:
        """Endless batches {"row": int32[B]}, each a pure function of (seed, its number).

        A batch takes a fixed share of its rows from each source; a source's rows come in a new
        order each epoch, all of them before any comes again. rows: those of a batch that this
        host's devices hold; None: all.
        """
        taken = np.array(share_of(rows, self.batch_size))
        shares = _shares(self.weights, self.batch_size)

        def batch(number: int) -> Batch:
            parts = [
                start + _endless(seed, source, stop - start, number * share, share)
                for source, ((start, stop), share) in enumerate(
                    zip(self.spans, shares, strict=True)
                )
            ]
            return {"row": np.concatenate(parts).astype(np.int32)[taken]}

        def start(first: int) -> Any:
            import grain

            few = grain.ReadOptions(num_threads=1, prefetch_buffer_size=4)
            return iter(grain.MapDataset.range(first, 1 << 40).map(batch).to_iter_dataset(few))

        return Batches(start)


def build(
    sources: Sequence[Source],
    shape: BatchShape,
    chat: Chat,
    *,
    seed: int,
    draws: int = 4,
    features: FeatureStore | None = None,
    report: BadSamples | None = None,
    threads: int = THREADS,
    progress: Progress | None = None,
    limit_bytes: int = LIMIT_BYTES,
) -> Resident:
    """Packs `draws` rows of every group, each with its own draw of questions.

    progress(done, total) counts groups. Raises UserError as the streaming loader does for what
    does not fit or decode, and where the table would take more than `limit_bytes`.
    """
    groups = [read_source(source) for source in sources]
    read = frame_reader(shape.frames, shape.image_size)
    names = tuple(str(source.manifest) for source in sources)
    rows = Rows(groups, shape, chat, read, features, report or BadSamples(), names)
    rows.prepare()
    packed: list[Batch] = []
    numbers: list[int] = []
    table: dict[str, list[np.ndarray]] = {}
    first_frame: dict[str, int] = {}
    frames, spans = 0, []
    total, done = sum(len(source) for source in groups), 0
    for source, found in enumerate(groups):
        start = len(packed)
        for place, visual in enumerate(rows.visuals(source, threads)):
            done += 1
            if progress and (done % 50 == 0 or done == total):
                progress(done, total)
            if visual is None:  # counted and reported by `rows`; its share goes to the others
                continue
            rng = np.random.default_rng((seed, source, place))
            count = len(visual.times)
            media = str(found[place][0].media)
            if media not in first_frame:  # two sources may share their files
                first_frame[media] = frames
                frames += count
                for key in FRAME_KEYS:
                    value = getattr(visual, key.removeprefix("feature_"), None)
                    if value is not None:
                        table.setdefault(key, []).append(value)
            used = np.arange(shape.frames) < count
            here = (first_frame[media] + np.arange(shape.frames)) * used
            for _ in range(draws):
                row = rows.text_row(found[place], count, rng) | rows.times(visual)
                packed.append(row | {"frames": here.astype(np.int32)})
                numbers.append(sum(len(earlier) for earlier in groups[:source]) + place)
        if len(packed) == start:
            raise rows.nothing_of(source)
        spans.append((start, len(packed)))
    arrays = {key: np.concatenate(parts) for key, parts in table.items()} if frames else {}
    arrays |= {key: _small(value) for key, value in stack(packed).items()}
    size = sum(array.nbytes for array in arrays.values())
    if size > limit_bytes:
        raise UserError(
            f"the data takes {size / 2**30:.1f} GiB on the device, over the limit of "
            f"{limit_bytes / 2**30:.1f} GiB; set resident=False or use a smaller fraction"
        )
    weights = tuple(source.weight for source in sources)
    numbered = np.array(numbers, np.int32)
    return Resident(arrays, numbered, tuple(spans), weights, shape.batch_size)


def gather(table: Mapping[str, Any], row: Any) -> dict[str, Any]:
    """The batch of rows int32[B] of a table; inside a jitted step."""
    import jax.numpy as jnp

    batch = {}
    for key, value in table.items():
        if key not in FRAME_KEYS:
            picked = value[row]
            integer = jnp.issubdtype(picked.dtype, jnp.integer)
            batch[key] = picked.astype(jnp.int32) if integer else picked
    frames = batch.pop("frames")
    for key in FRAME_KEYS:
        if key in table:
            batch[key] = table[key][frames]
    return batch


def _small(array: np.ndarray) -> np.ndarray:
    """Integers as int16 where they fit: ids of a small vocabulary, positions, segments."""
    if array.dtype == np.int32 and array.size and abs(array).max() < 2**15:
        return array.astype(np.int16)
    return array


def _shares(weights: Sequence[float], batch_size: int) -> list[int]:
    """How many rows of a batch each source gives: at least one, in all `batch_size`."""
    if batch_size < len(weights):
        raise UserError(f"batch_size {batch_size} is less than the {len(weights)} sources")
    exact = np.array(weights) / sum(weights) * batch_size
    shares = np.maximum(np.floor(exact).astype(int), 1)
    while shares.sum() != batch_size:
        step = 1 if shares.sum() < batch_size else -1
        gap = (exact - shares) * step
        gap[(shares + step) < 1] = -np.inf
        shares[int(gap.argmax())] += step
    return [int(share) for share in shares]


def _endless(seed: int, source: int, size: int, start: int, count: int) -> np.ndarray:
    """Places start..start+count-1 of endless epochs, each its own permutation of 0..size-1."""
    parts = []
    while count:
        epoch, place = divmod(start, size)
        order = _epoch(seed, source, epoch, size)
        taken = order[place : place + count]
        parts.append(taken)
        start, count = start + len(taken), count - len(taken)
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


@lru_cache(maxsize=8)
def _epoch(seed: int, source: int, epoch: int, size: int) -> np.ndarray:
    return np.random.default_rng((seed, source, epoch)).permutation(size)
