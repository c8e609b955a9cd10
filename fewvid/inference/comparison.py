"""All samplers beside each other: what each keeps of the same frames, at the same K.

View --compare--> Choices, one a sampler --draw--> a picture of a row each
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from fewvid.errors import UserError
from fewvid.inference.conversation import Conversation
from fewvid.inference.lettering import Line, font, paragraph, write
from fewvid.inference.overlay import ACCENT, BACKGROUND, GREY, MARGIN, WHITE, caption, frame_tile
from fewvid.inference.selection import Selection
from fewvid.inference.view import View
from fewvid.samplers import SAMPLERS

COLUMNS = 6  # frames shown of a longer clip, evenly chosen
SIDE = 150  # a square frame is drawn this wide; others get the same area
GAP = 10
LABEL = 300  # the column of names
SWATCH = 28


@dataclass(frozen=True)
class Choice:
    """What one sampler keeps, and what the model answers with that ("" where nothing is asked)."""

    sampler: str
    selection: Selection
    answer: str = ""

    @property
    def share(self) -> float:
        """How much of the frames' response lies on the kept patches, 0..1, the mean over frames."""
        scores = self.selection.scores
        kept = (scores * self.selection.mask().reshape(scores.shape)).sum(axis=1)
        return float((kept / np.maximum(scores.sum(axis=1), 1e-30)).mean())


def compare(view: View, seed: int = 0, question: str = "") -> tuple[list[Choice], dict[str, str]]:
    """Each of SAMPLERS at the K of `view`, and why those that could not choose did not, by name.

    question: asked of the model once a sampler. Raises UserError at K = N, where none chooses.
    """
    if view.chosen is None:
        raise UserError(
            f"--sampler all compares what samplers keep, but all {view.kept} tokens are kept; "
            "use a smaller --keep"
        )
    found: list[Choice] = []
    left_out: dict[str, str] = {}
    for name in SAMPLERS:
        try:
            seen = view.model.look(
                view.clip, question=question or None, keep=view.kept, sampler=name, seed=seed
            )
            selection = seen.selection()
        except UserError as error:
            left_out[name] = str(error)
            continue
        answer = Conversation(seen).ask(question, seed=seed).text if question else ""
        found.append(Choice(name, selection, answer))
    return found, left_out


def draw(whole: Selection, choices: Sequence[Choice], question: str = "") -> Image.Image:
    """A row a sampler, with its name and what it does; above them the frames as they are.

    whole: the selection that all share their frames, times and K with. Returns an RGB picture.
    """
    picked = spread(len(whole.frames), COLUMNS)
    tile = tile_size(*whole.frames.shape[2:0:-1])
    inner = LABEL + len(picked) * (tile[0] + GAP) - GAP
    title = question or f"Which {whole.kept} of {whole.tokens} tokens does each sampler keep?"
    head = paragraph(title, font(24, bold=True), WHITE, inner)
    about = caption(dataclasses.replace(whole, sampler=""))
    if any(min(c.selection.counts) < max(c.selection.counts) for c in choices):
        about += " on average"
    if len(picked) < len(whole.frames):
        about += f"  ·  {len(picked)} of {len(whole.frames)} frames shown"
    foot = paragraph(about, font(15), GREY, inner)
    labels = [_label("the frames", "what there is to choose from", "")]
    labels += [_label(c.sampler, description(c.sampler), c.answer) for c in choices]
    heights = [max(tile[1], sum(line.height for line in label)) + GAP for label in labels]

    top = MARGIN + sum(line.height for line in head) + 14
    grid = top + SWATCH + 16 + 24
    bottom = grid + sum(heights) + 6
    high = bottom + sum(line.height for line in foot) + MARGIN
    canvas = Image.new("RGB", (inner + 2 * MARGIN, high), BACKGROUND)
    pen = ImageDraw.Draw(canvas)
    write(pen, head, MARGIN, MARGIN)
    _legend(canvas, top)
    lefts = [MARGIN + LABEL + i * (tile[0] + GAP) for i in range(len(picked))]
    for left, i in zip(lefts, picked, strict=True):
        middle = (left + tile[0] // 2, grid - 22)
        pen.text(middle, f"{whole.times[i]:.2f} s", fill=GREY, font=font(15), anchor="ma")

    masks = [np.ones_like(whole.mask()), *(choice.selection.mask() for choice in choices)]
    y = grid
    for label, height, mask in zip(labels, heights, masks, strict=True):
        write(pen, label, MARGIN, y)
        for left, i in zip(lefts, picked, strict=True):
            canvas.paste(frame_tile(whole.frames[i], mask[i], tile), (left, y))
        y += height
    write(pen, foot, MARGIN, bottom)
    return canvas


def spread(count: int, most: int) -> list[int]:
    """Up to `most` of the places 0..count-1, evenly, the first and the last among them."""
    return sorted({round(x) for x in np.linspace(0, count - 1, min(count, most))})


def tile_size(width: int, height: int) -> tuple[int, int]:
    """The drawn size of a frame: its own aspect (clamped to 1:3 .. 3:1), the area of SIDE**2."""
    stretch = min(max(width / height, 1 / 3), 3.0) ** 0.5
    return round(SIDE * stretch), round(SIDE / stretch)


def description(sampler: str) -> str:
    """What a sampler does, in the words that its module opens with."""
    words = (sys.modules[SAMPLERS[sampler].__module__].__doc__ or "").strip().partition("\n")[0]
    return words.removeprefix(f"`{sampler}`: ")


def _label(name: str, does: str, answer: str) -> list[Line]:
    lines = paragraph(name, font(17, bold=True), WHITE, LABEL - 2 * GAP)
    lines += paragraph(does, font(13), GREY, LABEL - 2 * GAP)
    said = f"says: {answer}" if answer else ""
    return lines + paragraph(said, font(15), ACCENT, LABEL - 2 * GAP)


def _legend(canvas: Image.Image, y: int) -> None:
    """Two patches of one colour: as it looks where it is kept, and where it is dropped."""
    pen, x = ImageDraw.Draw(canvas), MARGIN
    patch = np.full((8, 8, 3), (78, 132, 196), np.uint8)
    both = frame_tile(patch.repeat(2, axis=1), np.array([[True, False]]), (2 * SWATCH, SWATCH))
    for at, words in ((0, "kept (or what others are merged into)"), (SWATCH, "dropped")):
        canvas.paste(both.crop((at, 0, at + SWATCH, SWATCH)), (x, y))
        x += SWATCH + 10
        pen.text((x, y + SWATCH // 2), words, fill=GREY, font=font(15), anchor="lm")
        x += round(font(15).getlength(words)) + 32
