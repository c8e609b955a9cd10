"""A folder of pictures as a video: one frame a second, in the natural order of the names."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from fewvid.data.clip import Clip, Deadline
from fewvid.data.frames import Stack, choose
from fewvid.data.images import load_image
from fewvid.data.sniff import PICTURE_SUFFIXES
from fewvid.errors import UserError


def read(path: Path, frames: int | None, size: int | None, deadline: Deadline) -> Clip:
    """Reads `frames` pictures, evenly spread over the folder.

    Raises:
      UserError: the folder holds no picture, or a chosen one cannot be read.
    """
    pictures = sorted(
        (f for f in path.iterdir() if f.suffix.lower() in PICTURE_SUFFIXES and f.is_file()),
        key=lambda file: _natural(file.name),
    )
    if not pictures:
        raise UserError(
            f"{path}: is a directory without pictures; wanted a video file or its frames"
        )
    times = np.arange(len(pictures), dtype=np.float64)
    chosen = choose(times, frames)
    stack = Stack(path, size)
    for place in chosen:
        deadline.check()
        stack.add(load_image(pictures[place]))
    notes = ("a folder tells no times: its pictures are taken as one second apart",)
    return stack.clip(times[chosen], frames, len(pictures), float(len(pictures)), "pictures", notes)


def _natural(name: str) -> list[tuple[int, int | str]]:
    """Sorts frame_2 before frame_10."""
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts]
