"""The views of a single still picture: whole, and in tiles (see `models.tiles`)."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from fewvid.data.images import resize
from fewvid.models.config import Grid, Side


def views(picture: np.ndarray, side: Side, grid: Grid) -> np.ndarray:
    """uint8[H,W,3] -> uint8[1+rows*columns,side,side,3]: squeezed to a frame, then by tiles.

    For the tiles the picture is brought to the largest size that fits their grid, by Pillow's
    bicubic, and padded with black to as much on either side; tiles come row by row.
    """
    rows, columns = grid
    height, width = fitted(picture.shape[0], picture.shape[1], rows * side, columns * side)
    how = Image.Resampling.BICUBIC
    inside = np.asarray(Image.fromarray(picture).resize((width, height), how))
    canvas = np.zeros((rows * side, columns * side, 3), np.uint8)
    top, left = (rows * side - height) // 2, (columns * side - width) // 2
    canvas[top : top + height, left : left + width] = inside
    tiles = canvas.reshape(rows, side, columns, side, 3).swapaxes(1, 2)
    return np.concatenate([resize(picture[None], side), tiles.reshape(-1, side, side, 3)])


def fitted(height: int, width: int, to_height: int, to_width: int) -> Grid:
    """The height and width in pixels of a picture that is as large as fits, its aspect kept."""
    by_height, by_width = to_height / height, to_width / width
    if by_width < by_height:
        return min(math.ceil(height * by_width), to_height), to_width
    return to_height, min(math.ceil(width * by_height), to_width)
