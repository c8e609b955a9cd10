"""What every decoding backend gives back (`Clip`) and the two ways in which one gives up."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fewvid.errors import UserError


@dataclass(frozen=True)
class Clip:
    """Frames chosen from a video, with what is known about the whole of it.

    Attributes:
      frames: uint8[T,H,W,3], RGB, upright (a rotation tag is already applied).
      times: float32[T], seconds since the first frame of the video.
      asked: how many frames were asked for; None means all.
      available: how many frames the video has: counted by decoding where the file is short or
        damaged, by its packets where it is long and sound.
      duration: seconds from the start of the first frame to the end of the last one.
      backend: "pyav", "opencv" or "pictures".
      notes: warnings in plain words, empty for a sound file.
    """

    frames: np.ndarray
    times: np.ndarray
    asked: int | None
    available: int
    duration: float
    backend: str
    notes: tuple[str, ...] = ()

    @property
    def is_picture(self) -> bool:
        """A still picture, and no video (nor a folder) of one frame or more."""
        return self.backend == "pictures" and self.available == 1 and self.duration == 0


class Unreadable(Exception):
    """This backend cannot read the file; another one may. The message is the plain reason."""


class Deadline:
    """A wall-clock limit that decoders ask about between packets, so that no file hangs a run."""

    def __init__(self, path: Path, seconds: float) -> None:
        self._path = path
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Returns the seconds that are left, at least a hundredth (libav reads 0 as 'for ever')."""
        return max(self._end - time.monotonic(), 0.01)

    def spent(self, part: float) -> bool:
        """Says whether this part of the time is over: a slow reader makes do with what it has."""
        return self._seconds - self.left() > part * self._seconds

    def check(self) -> None:
        """Raises UserError when the time is over."""
        if time.monotonic() > self._end:
            raise UserError(
                f"{self._path}: reading took longer than {self._seconds:g} s; it hangs the "
                "decoder or is too long for it: ask for fewer frames or raise timeout_s"
            )
