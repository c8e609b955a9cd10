"""From manifests to batches: shuffled, mixed, decoded in threads, batched last.

    manifests ─ groups ─ shuffle ─ mix ─ draw questions, decode, pack (a row) ─ host ─ batch

A row is a pure function of (seed, its index): the order hangs neither on the number of threads
nor of hosts (`share`), and the iterator's state is one number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fewvid.cores import cores
from fewvid.data.batches import Batch, BatchShape, empty_like, stack
from fewvid.data.manifest import group_by_media
from fewvid.data.media import BadSamples, frame_reader
from fewvid.data.mixtures import Source, mix, read_source
from fewvid.data.rows import Rows
from fewvid.data.sample import Group, Sample
from fewvid.data.share import Batches, Share, share_of
from fewvid.data.tokenizer import Chat
from fewvid.errors import UserError

if TYPE_CHECKING:
    import grain

    from fewvid.data.features import FeatureStore

THREADS = min(16, cores())
CACHE_BYTES = 2 << 30
_BUFFER_BYTES = 512 << 20


def train_iterator(
    sources: Sequence[Source],
    shape: BatchShape,
    chat: Chat,
    *,
    seed: int,
    rows: Sequence[int] | None = None,
    threads: int = THREADS,
    features: FeatureStore | None = None,
    cache_frames: bool = False,
    cache_bytes: int = CACHE_BYTES,
    report: BadSamples | None = None,
) -> Batches:
    """An endless iterator of batches of numpy arrays, with get_state, set_state and close.

    rows: which rows of every global batch this host makes; None: all of them.
    features: cached encoder outputs; batches then carry them in place of pixels.
    cache_frames: keep up to `cache_bytes` of decoded frames in memory.
    report: collects media that did not decode, and holds the fraction of them that is borne;
      such a group is replaced by the next of its source.
    Raises UserError here for manifests and questions that do not fit, in `next` for too many bad
    media.
    """
    if not sources:
        raise UserError("a mixture needs at least one source; the key is sources")
    taken = share_of(rows, shape.batch_size)
    groups = [read_source(source) for source in sources]
    read = frame_reader(shape.frames, shape.image_size, cache_bytes if cache_frames else 0)
    names = tuple(str(source.manifest) for source in sources)
    made = Rows(groups, shape, chat, read, features, report or BadSamples(), names)
    made.prepare()
    order = mix([len(source) for source in groups], [source.weight for source in sources], seed)
    drawn = order.seed(seed).random_map(made.draw)
    options = _read_options(threads, shape, len(taken))

    def start(batch: int) -> Any:
        import grain

        share: Any = Share(drawn, taken, shape.batch_size, batch)
        share = grain.MapDataset.source(share)
        ahead = share.to_iter_dataset(options)
        return iter(ahead.batch(len(taken), drop_remainder=True, batch_fn=stack))

    return Batches(start)


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
    have no samples. Media that do not decode are left out and stand in `report`, or, where there
    is neither it nor that of `features`, in a warning.
    """
    import grain

    groups = group_by_media(samples)
    read = frame_reader(shape.frames, shape.image_size)
    told = report or (features.report if features else None)
    bad = told or BadSamples()
    rows = Rows([groups], shape, chat, read, features, bad)
    rows.prepare()
    built = grain.MapDataset.source(range(len(groups))).map(rows.all_of)
    rows_wanted: list[tuple[Batch, Group]] = []
    for found in built.to_iter_dataset(_read_options(threads, shape, shape.batch_size)):
        rows_wanted += found
        while len(rows_wanted) >= shape.batch_size:
            yield _eval_batch(rows_wanted[: shape.batch_size], shape, chat)
            rows_wanted = rows_wanted[shape.batch_size :]
    if rows_wanted:
        yield _eval_batch(rows_wanted, shape, chat)
    if told is None:
        bad.warn()


def _eval_batch(rows: list[tuple[Batch, Group]], shape: BatchShape, chat: Chat) -> Any:
    missing = shape.batch_size - len(rows)
    blank = empty_like(rows[0][0], chat.pad)
    batch = stack([row for row, _ in rows] + [blank] * missing)
    return batch, [samples for _, samples in rows] + [()] * missing


def _read_options(threads: int, shape: BatchShape, rows: int) -> grain.ReadOptions:
    """About a batch of rows ahead, within a bound: Grain's own 500 rows of video fill a memory."""
    import grain

    row_bytes = shape.frames * shape.image_size**2 * 3
    ahead = min(max(2 * threads, rows), max(1, _BUFFER_BYTES // row_bytes))
    return grain.ReadOptions(num_threads=threads, prefetch_buffer_size=ahead)
