"""Choosing frames by time, and stacking them into one array.

Frame numbers lie in files of variable frame rate, and headers lie in damaged ones; so a choice is
made among the time stamps of the frames that are really there.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from fewvid.data.clip import Clip
from fewvid.data.images import resize
from fewvid.errors import UserError

# Ten pictures of 8192x8192, or a minute of 720p; above that the caller forgot size=.
MAX_CLIP_BYTES = 2**31


def choose(times: np.ndarray, frames: int | None) -> np.ndarray:
    """Chooses frames evenly over the time that a video lasts.

    The first and the last frame are always in (for one frame: the middle of the time). Between
    them, the frame on screen at each of the evenly spaced moments; where a frame stays on screen
    over several moments its neighbours are taken, so that every choice is another frame.

    Args:
      times: float64[n], rising.
      frames: how many; None or more than n chooses all n.

    Returns:
      int[min(frames, n)], rising indices into `times`, each once.
    """
    n = len(times)
    if frames is None or frames >= n:
        return np.arange(n)
    if frames == 1:
        return np.array([_on_screen(times, (times[0] + times[-1]) / 2)])
    chosen = _on_screen(times, np.linspace(times[0], times[-1], frames))
    low = -1
    for k in range(frames):
        low = chosen[k] = min(max(chosen[k], low + 1), n - (frames - k))
    return chosen


def _on_screen(times: np.ndarray, moments: np.ndarray | float) -> np.ndarray:
    # The slack is for time stamps that were rounded to milliseconds by their container.
    return np.searchsorted(times, np.asarray(moments) + 1e-3, side="right") - 1


class Stack:
    """Collects upright pictures of one clip: turned, resized and guarded one by one.

    Resizing at once keeps the memory at what the caller asked for, whatever the video's size.
    """

    def __init__(self, path: Path, size: int | None) -> None:
        self._path = path
        self._size = size
        self._pictures: list[np.ndarray] = []
        self._bytes = 0
        self.resized = False  # a frame had another shape than the first one

    def __len__(self) -> int:
        return len(self._pictures)

    def add(self, picture: np.ndarray, rotation: int = 0) -> None:
        """Adds uint8[H,W,3], turned counter-clockwise by `rotation` degrees (a multiple of 90)."""
        if rotation % 360:
            picture = np.rot90(picture, round(rotation / 90) % 4)
        if self._size is not None:
            picture = resize(picture[None], self._size)[0]
        elif self._pictures and picture.shape != self._pictures[0].shape:
            height, width = self._pictures[0].shape[:2]
            picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
            self.resized = True
        self._bytes += picture.nbytes
        if self._bytes > MAX_CLIP_BYTES:
            raise UserError(
                f"{self._path}: the chosen frames need more than {MAX_CLIP_BYTES >> 30} GiB at "
                f"{picture.shape[1]}x{picture.shape[0]}; ask for fewer frames or give size="
            )
        self._pictures.append(np.ascontiguousarray(picture))

    def clip(
        self,
        times: np.ndarray,
        asked: int | None,
        available: int,
        duration: float,
        backend: str,
        notes: tuple[str, ...],
    ) -> Clip:
        """Returns the pictures as a `Clip`; adds the notes that hold for every backend."""
        count = len(self._pictures)
        if asked is not None and count < asked:
            exist = "" if available >= asked else f", {available} exist{'s' * (available == 1)}"
            notes += (f"{asked} frames were asked for{exist}: used {count}",)
        if self.resized:
            notes += ("the frame size changes within the video; all are brought to the first",)
        return Clip(
            np.stack(self._pictures),
            np.asarray(times, np.float32),
            asked,
            available,
            float(duration),
            backend,
            notes,
        )
