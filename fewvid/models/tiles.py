"""A single still picture in tiles, as LLaVA-OneVision reads one ("anyres", arXiv 2408.03326).

    picture --tiling--> grid --data.tiles--> views --encoder, sampler, adapter--> tokens of each
    tiling and what is kept --table--> where each token that is read comes from --pack--> the row

The views are the whole picture, squeezed to a frame, and the tiles, each as large as a frame. Their
tokens are read so: those of the whole; then those of the tiles as one large picture, row by row,
without what only pads it, brought down where they are too many, a newline behind each row.

The sampler treats every view as a picture of its own and keeps K of its N tokens, whatever the
other views show and however many there are. Dropped tokens are not read, and a row of which
nothing is kept has no newline. Where rows were brought down, a token lies between four: it is read
where the nearest of them is kept, and is the mean of those kept, weighted as before. K = N is the
identity. What is kept of padding is not read, so tiles may give fewer than K.

All that hangs on the picture's shape is numbers in a `Table`, whose length and whose number of
views come in a few sizes (`bucket`): a compiled program serves many shapes.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fewvid.models.tiling import Tiling


class Table(NamedTuple):
    """Of what each token that is read is made: the weighted sum of four, or the newline.

    source int32[L,4], places among the kept tokens of all views (view * K + rank of the token);
    weight float32[L,4]; newline bool[L]. What pads it to its length is the sum of nothing.
    """

    source: np.ndarray
    weight: np.ndarray
    newline: np.ndarray


def table(tiling: Tiling, kept: np.ndarray | None = None) -> Table:
    """What is read of a picture, L = tiling.tokens where everything is kept (`kept` None).

    kept: int[V,K], the tokens that are kept of each view, sorted, V = tiling.views.
    """
    count = tiling.side**2
    if kept is None:
        kept = np.broadcast_to(np.arange(count), (tiling.views, count))
    place = np.full((tiling.views, count), -1)
    np.put_along_axis(place, kept, np.arange(kept.size).reshape(kept.shape), axis=1)

    whole = np.zeros((kept.shape[1], 4), np.int64)
    whole[:, 0] = place[0, kept[0]]
    alone = np.array([1.0, 0, 0, 0], np.float32)
    source, weight = _between(tiling, place[1:])
    # a newline behind each row, and nothing where nothing is kept
    there = np.take_along_axis(source, weight.argmax(-1)[..., None], -1)[..., 0] >= 0
    weight = np.where(source >= 0, weight, 0)
    if (source < 0).any():
        weight /= np.maximum(weight.sum(-1, keepdims=True), 1e-30)
    source = np.pad(np.maximum(source, 0), ((0, 0), (0, 1), (0, 0)))
    weight = np.pad(weight, ((0, 0), (0, 1), (0, 0)))
    ends = there.any(axis=1, keepdims=True) | (tiling.columns == 0)  # so narrow: rows of nothing
    there = np.concatenate([there, ends], axis=1)
    newline = np.zeros_like(there)
    newline[:, -1:] = ends

    sources = [whole, source[there]]
    weights = [np.broadcast_to(alone, whole.shape), weight[there]]
    newlines = [np.zeros(len(whole), bool), newline[there]]
    if not ends.any():  # a clip is closed by one in any case
        sources.append(np.zeros((1, 4), np.int64))
        weights.append(np.zeros((1, 4)))
        newlines.append(np.ones(1, bool))
    return Table(
        np.concatenate(sources).astype(np.int32),
        np.concatenate(weights).astype(np.float32),
        np.concatenate(newlines),
    )


def padded(table: Table, length: int) -> Table:
    """The same table with rows that are not read behind it."""
    more = ((0, length - len(table.newline)), (0, 0))
    return Table(
        np.pad(table.source, more), np.pad(table.weight, more), np.pad(table.newline, more[:1])
    )


def bucket(count: int, least: int, part: int) -> int:
    """`least`, or larger by one `part`-th of itself as often as it takes to hold `count`."""
    while least < count:
        least += -(-least // part)
    return least


def pack(visual: jax.Array, newline: jax.Array, table: Table) -> jax.Array:
    """visual float[V,1,K,D], newline float[D], a table of L -> float[1,1,L,D].

    A token that is one of `visual` is that, bit for bit.
    """
    flat = visual.reshape(-1, visual.shape[-1])
    four = flat[table.source].astype(jnp.float32)
    read = (four * table.weight[..., None]).sum(axis=1).astype(visual.dtype)
    read = jnp.where(table.newline[:, None], newline.astype(visual.dtype), read)
    return read[None, None]


def _between(tiling: Tiling, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The four tokens that each lies between, and how much it takes of each: [rows,columns,4].

    place int[tiles,N]: where the tokens of the tiles are. Bilinear, edges aligned, unsmoothed.
    """
    across, down = tiling.grid[1], tiling.grid[0]
    square = place.reshape(down, across, tiling.side, tiling.side).transpose(0, 2, 1, 3)
    square = square.reshape(down * tiling.side, across * tiling.side)
    y, by_y = _along(tiling.height, tiling.rows)
    x, by_x = _along(tiling.width, tiling.columns)
    source = square[(tiling.top + y)[:, None, :, None], (tiling.left + x)[None, :, None, :]]
    weight = by_y[:, None, :, None] * by_x[None, :, None, :]
    shape = (tiling.rows, tiling.columns, 4)
    return source.reshape(shape), weight.reshape(shape)


def _along(of: int, to: int) -> tuple[np.ndarray, np.ndarray]:
    """For each of `to` places the two of `of` that it lies between, [to,2], and their weights."""
    scale = np.float32(of) / np.float32(max(to, 1))
    at = np.maximum((np.arange(to, dtype=np.float32) + np.float32(0.5)) * scale - 0.5, 0)
    before = at.astype(int)
    part = (at - before).astype(np.float32)
    return np.stack([before, np.minimum(before + 1, of - 1)], -1), np.stack([1 - part, part], -1)
