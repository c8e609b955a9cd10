"""Text in pictures: wrapped to a width, and drawn with one font that is there on every machine."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import matplotlib
from PIL import ImageDraw, ImageFont

TEXT_LINES = 8  # a longer question or answer is cut
Colour = tuple[int, int, int]


class Line:
    """A line of text that is known to fit."""

    def __init__(self, text: str, font: ImageFont.FreeTypeFont, colour: Colour):
        self.text, self.font, self.colour = text, font, colour
        self.height = round(font.size * 1.4)


def paragraph(text: str, font: ImageFont.FreeTypeFont, colour: Colour, width: int) -> list[Line]:
    """Wraps `text` into lines of at most `width` pixels; a word too long is broken anywhere."""
    lines: list[str] = []
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(joined) <= width:
            lines[-1] = joined
            continue
        lines.append("")
        for letter in word:
            if lines[-1] and font.getlength(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    if len(lines) > TEXT_LINES:
        lines = [*lines[: TEXT_LINES - 1], lines[TEXT_LINES - 1] + " …"]
    return [Line(line, font, colour) for line in lines]


def write(pen: ImageDraw.ImageDraw, lines: list[Line], x: int, y: int) -> int:
    """Writes the lines from (x, y) down; returns where the next would begin."""
    for line in lines:
        pen.text((x, y), line.text, fill=line.colour, font=line.font)
        y += line.height
    return y


@cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib carries with it: the same picture on every machine."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", name)), size)
