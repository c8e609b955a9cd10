"""A layout of K cells over the patches of a frame, known from N and K alone."""

from __future__ import annotations

import math

import numpy as np


def cells(count: int, keep: int) -> tuple[np.ndarray, np.ndarray]:
    """The cell of each of N patches, int32[N], and the middle patch of each cell, int32[K].

    Where N = G * G, round(sqrt(K)) bands of rows as equal as can be, each cut across into as many
    cells as bring the total to K. Where N is no square: K stretches in reading order.

    N = 36, K = 4   N = 36, K = 5
    0 0 0 1 1 1     0 0 0 1 1 1
    0 0 0 1 1 1     0 0 0 1 1 1
    0 0 0 1 1 1     0 0 0 1 1 1
    2 2 2 3 3 3     2 2 3 3 4 4
    2 2 2 3 3 3     2 2 3 3 4 4
    2 2 2 3 3 3     2 2 3 3 4 4
    """
    side = math.isqrt(count)
    if side * side != count:
        return _stretches(count, keep)
    bands, band_rows = math.floor(math.sqrt(keep) + 0.5), []
    middles = []
    band_of_row, middle_row = _stretches(side, bands)
    for band in range(bands):
        first, last = band * keep // bands, (band + 1) * keep // bands
        cell_of_column, middle_column = _stretches(side, last - first)
        band_rows.append(first + cell_of_column)
        middles.append(middle_row[band] * side + middle_column)
    return np.stack(band_rows)[band_of_row].ravel(), np.concatenate(middles)


def _stretches(count: int, parts: int) -> tuple[np.ndarray, np.ndarray]:
    """A line of `count` places cut into parts: the part of each, and the middle of each part."""
    ends = np.arange(parts + 1, dtype=np.int32) * count // parts
    part = np.repeat(np.arange(parts, dtype=np.int32), np.diff(ends))
    return part, (ends[:-1] + ends[1:]) // 2
