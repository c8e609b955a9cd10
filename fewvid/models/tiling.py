"""Into which tiles a single still picture is cut: LLaVA-OneVision's "anyres" (arXiv 2408.03326).

The tiles, each as large as a frame, are one large picture, into which the picture is brought as
large as fits, padded on two sides. Numbers alone: nothing here imports jax.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fewvid.models.config import AdapterConfig, EncoderConfig, Grid

SLACK = 1.1  # along a side: tokens may exceed their limit by this before they are brought down


@dataclass(frozen=True)
class Tiling:
    """How the tokens of a picture's tiles lie.

    grid: rows and columns of tiles; side: tokens along the side of a tile, so that the tiles are
    one picture of grid[0] * side by grid[1] * side tokens. top, left, height, width: the part of it
    that is no padding, in tokens. rows, columns: what that part is brought to.
    """

    grid: Grid
    side: int
    top: int
    left: int
    height: int
    width: int
    rows: int
    columns: int

    @property
    def views(self) -> int:
        """The whole picture and its tiles."""
        return 1 + self.grid[0] * self.grid[1]

    @property
    def tokens(self) -> int:
        """What the decoder reads where everything is kept, newlines included."""
        return self.side**2 + max(self.rows * (self.columns + 1), 1)


def best_grid(height: int, width: int, side: int, grids: Sequence[Grid]) -> Grid:
    """The grid of tiles of side x side pixels that shows most of a picture of height x width.

    Most of its pixels, none counted twice where it is enlarged; of equals the one that pads least,
    and of those the first.
    """
    best, most, least = grids[0], -1, 0
    for rows, columns in grids:
        scale = min(columns * side / width, rows * side / height)
        shown = min(int(width * scale) * int(height * scale), width * height)
        wasted = rows * columns * side**2 - shown
        if shown > most or (shown == most and wasted < least):
            best, most, least = (rows, columns), shown, wasted
    return best


def tiling(height: int, width: int, encoder: EncoderConfig, adapter: AdapterConfig) -> Tiling:
    """How a picture of height x width pixels is cut by a model whose adapter has tiles."""
    grid, side = best_grid(height, width, encoder.image_size, adapter.tiles), encoder.grid
    high, wide = grid[0] * side, grid[1] * side
    top = left = 0
    # a picture padded by an odd number of tokens keeps one of them
    if width / height > wide / high:
        top = (high - int(round(height * (wide / width), 7))) // 2
    else:
        left = (wide - int(round(width * (high / height), 7))) // 2
    rows, columns = shown = high - 2 * top, wide - 2 * left
    ratio = math.sqrt(rows * columns / (adapter.tile_limit * side**2))
    if ratio > SLACK:
        rows, columns = int(rows // ratio), int(columns // ratio)
    return Tiling(grid, side, top, left, *shown, rows, columns)
