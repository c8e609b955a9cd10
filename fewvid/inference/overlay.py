"""The picture that shows what the model looked at: kept patches bright, dropped ones dim.

Every frame keeps the video's own aspect; the encoder saw it squeezed to a square, so its patches
are stretched back over the frame here.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from fewvid.errors import UserError
from fewvid.inference.lettering import font, paragraph, write
from fewvid.inference.selection import Selection

BACKGROUND = (17, 19, 24)
WHITE = (240, 242, 245)
GREY = (142, 149, 160)
ACCENT = (255, 200, 61)

SIDE = 224  # a square frame is drawn this wide; others get the same area
MOST_SIDE = 448  # where frames are few they are drawn larger
MOST_IN_ROW = 8
MOST_WIDTH = 2000
LEAST_WIDTH = 720
MOST_HEIGHT = 15_000  # of the frames; WebP ends at 16383 pixels a side, and text comes on top
MOST_FRAMES = 2000  # so many, of any aspect, stay under that in width as well
LABEL = 30  # the line under a frame
MARGIN = 28
GAP = 12
EDGE = 2
DIM = 0.45  # brightness of a dropped patch
SATURATION = 0.45  # colour left in a dropped patch


def draw(selection: Selection, question: str = "", answer: str = "") -> Image.Image:
    """Draws the frames in a row (more wrap into rows), question and answer above, times below.

    Returns an RGB picture that every format can hold. Text that a font has no glyph for is drawn
    as a box, never an error. Raises UserError for too many frames, as `check_count` does.
    """
    count, height, width = selection.frames.shape[:3]
    check_count(count)
    tile = tile_size(width, height, count)
    columns = _columns(count, tile)
    rows = math.ceil(count / columns)
    inner = max(columns * (tile[0] + GAP) - GAP, LEAST_WIDTH)

    head = [*paragraph(question, font(24, bold=True), WHITE, inner)]
    head += paragraph(answer, font(24), ACCENT, inner)
    foot = paragraph(caption(selection), font(15), GREY, inner)
    head_height = sum(line.height for line in head) + (14 if head else 0)
    body_height = rows * (tile[1] + LABEL + GAP) - GAP
    canvas = Image.new(
        "RGB",
        (
            inner + 2 * MARGIN,
            2 * MARGIN + head_height + body_height + 10 + len(foot) * 22,
        ),
        BACKGROUND,
    )
    pen = ImageDraw.Draw(canvas)
    y = write(pen, head, MARGIN, MARGIN) + (14 if head else 0)

    mask = selection.mask()
    for i in range(count):
        row, column = divmod(i, columns)
        in_row = min(columns, count - row * columns) if rows == 1 else columns
        left = MARGIN + (inner - in_row * (tile[0] + GAP) + GAP) // 2 + column * (tile[0] + GAP)
        top = y + row * (tile[1] + LABEL + GAP)
        canvas.paste(frame_tile(selection.frames[i], mask[i], tile), (left, top))
        pen.text(
            (left + tile[0] // 2, top + tile[1] + 7),
            f"{selection.times[i]:.2f} s",
            fill=GREY,
            font=font(15),
            anchor="ma",
        )
    write(pen, foot, MARGIN, y + body_height + 10)
    return canvas


def check_count(frames: int) -> None:
    """Raises UserError for more frames than one picture can show."""
    if frames > MOST_FRAMES:
        raise UserError(
            f"one picture shows at most {MOST_FRAMES} frames, these are {frames}; use a smaller "
            "--frames"
        )


def caption(selection: Selection) -> str:
    """Model, sampler and how much was kept, as one line."""
    many = "tokens" if selection.tokens != 1 else "token"
    kept = f"{selection.kept} of {selection.tokens} {many} kept in each frame"
    least, most = min(selection.counts), max(selection.counts)
    if least < most:
        kept += f" on average, {least} to {most}"
    if selection.change is not None:
        kept += f" (auto: change {selection.change:.3f})"
    return "  ·  ".join(part for part in (selection.model, selection.sampler, kept) if part)


def tile_size(width: int, height: int, count: int) -> tuple[int, int]:
    """The drawn size of one of `count` frames: its own aspect (clamped to 1:4 .. 4:1).

    All aspects get the area of SIDE**2; few frames get more, to fill the least width.
    """
    stretch = math.sqrt(min(max(width / height, 0.25), 4.0))
    fill = ((LEAST_WIDTH + GAP) / count - GAP) / stretch
    side = min(max(SIDE, fill), MOST_SIDE)
    return round(side * stretch), round(side / stretch)


def frame_tile(frame: np.ndarray, kept: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """One frame uint8[H,W,3] at `size` (width, height) with its patches bool[grid,grid] marked."""
    bright = np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC), np.float32)
    light = bright @ np.array([0.299, 0.587, 0.114], np.float32)
    dim = DIM * (light[..., None] + SATURATION * (bright - light[..., None]))

    rows, columns = _patch_of(size[1], kept.shape[0]), _patch_of(size[0], kept.shape[1])
    inside = kept[rows][:, columns]
    edge = inside & ~_eroded(inside, EDGE)
    picture = np.where(inside[..., None], bright, dim)
    if not kept.all():  # with nothing dropped there is no border to show
        picture = np.where(edge[..., None], np.array(ACCENT, np.float32), picture)
    return Image.fromarray(np.clip(picture + 0.5, 0, 255).astype(np.uint8))


def _patch_of(pixels: int, grid: int) -> np.ndarray:
    """int[pixels]: the patch row (or column) in which each drawn pixel lies."""
    return np.arange(pixels) * grid // pixels


def _eroded(mask: np.ndarray, steps: int) -> np.ndarray:
    """bool[H,W] with `steps` pixels taken off every border; outside the picture counts as false."""
    for _ in range(steps):
        wide = np.pad(mask, 1)
        shifts = [
            wide[1 + y : wide.shape[0] - 1 + y, 1 + x : wide.shape[1] - 1 + x]
            for y in (-1, 0, 1)
            for x in (-1, 0, 1)
        ]
        mask = np.logical_and.reduce(shifts)
    return mask


def _columns(count: int, tile: tuple[int, int]) -> int:
    """Frames in a row: as many as fit, shared out evenly over the rows.

    Where so many rows come together that the picture would be too high, it becomes wider.
    """
    fit = min(MOST_IN_ROW, max(1, (MOST_WIDTH + GAP) // (tile[0] + GAP)))
    fit = max(fit, math.ceil(count / (MOST_HEIGHT // (tile[1] + LABEL + GAP))))
    return math.ceil(count / math.ceil(count / fit))
