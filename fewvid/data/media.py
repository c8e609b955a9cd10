"""The frames of a sample, as the model reads them, kept in memory where they fit."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from fewvid.data.sample import Group, Sample
from fewvid.errors import UserError

_log = logging.getLogger(__name__)

# Far above what a sound file takes: which files are bad must not hang on how busy a machine is.
TIMEOUT_S = 60.0
SHOWN = 3  # bad files that are named; the others are counted


class Frames(NamedTuple):
    """pixels uint8[T,S,S,3], times float32[T] seconds; T is 1 for an image, 0 for text."""

    pixels: np.ndarray
    times: np.ndarray


ReadFrames = Callable[[Sample], Frames]


def read_frames(sample: Sample, frames: int, image_size: int) -> Frames:
    """Decodes a sample's media: at most `frames` of it, squeezed to a square of `image_size`.

    Raises UserError where nothing decodes.
    """
    if sample.media is None:
        empty = np.zeros((0, image_size, image_size, 3), np.uint8)
        return Frames(empty, np.zeros(0, np.float32))
    if sample.media_type == "image":
        from fewvid.data.images import load_image, resize

        return Frames(resize(load_image(sample.media)[None], image_size), np.zeros(1, np.float32))
    from fewvid.data.decode import decode_video

    clip = decode_video(sample.media, frames, size=image_size, timeout_s=TIMEOUT_S)
    return Frames(clip.frames, clip.times)


def frame_reader(frames: int, image_size: int, cache_bytes: int = 0) -> ReadFrames:
    """`read_frames` with its sizes fixed; with `cache_bytes`, decoded frames stay in memory.

    A full cache takes nothing more in (an epoch reads each file once, so that evicting would
    throw away just what comes next). Safe to call from many threads.
    """
    kept: dict[str, Frames] = {}
    room = cache_bytes
    lock = threading.Lock()

    def read(sample: Sample) -> Frames:
        nonlocal room
        key = str(sample.media)
        if key in kept:
            return kept[key]
        found = read_frames(sample, frames, image_size)
        size = found.pixels.nbytes
        with lock:
            if sample.media is not None and size <= room and key not in kept:
                kept[key] = found
                room -= size
        return found

    return read


class BadSamples:
    """Which media did not decode, and why; stops the run where there are too many.

    Counts each file once, however often it comes up, and judges against all files that are to
    come (`expect`), so that it does not hang on their order. Safe to use from many threads.
    """

    def __init__(self, max_bad_fraction: float = 0.05, minimum: int = 20) -> None:
        """max_bad_fraction: of the files expected; fewer than `minimum` files are not judged."""
        self.max_bad_fraction = max_bad_fraction
        self.minimum = minimum
        self.reasons: dict[str, str] = {}
        self.dropped_questions = 0
        self._expected = 0
        self._seen: set[str] = set()
        self._lock = threading.Lock()

    @property
    def seen(self) -> int:
        """How many different files were tried."""
        return len(self._seen)

    def expect(self, groups: Iterable[Group]) -> None:
        """Notes how many different files there are in all; the most that was said counts."""
        media = {str(group[0].media) for group in groups if group[0].media is not None}
        self._expected = max(self._expected, len(media))

    def good(self, name: str) -> None:
        """Notes a file that decoded."""
        self._seen.add(name)

    def bad(self, name: str, reason: str) -> None:
        """Notes a file that did not. Raises UserError past the fraction."""
        with self._lock:
            self._seen.add(name)
            self.reasons[name] = reason.removeprefix(f"{name}: ").rstrip(".")
            count = len(self.reasons)
        if self._expected >= self.minimum and count > self.max_bad_fraction * self._expected:
            raise UserError(
                f"already {self}; that is over max_bad_fraction={self.max_bad_fraction:g}: mend "
                "the files, take them out of the manifest or raise max_bad_fraction"
            )

    def dropped(self, count: int) -> None:
        """Notes questions that a row had no room for (they may be drawn again)."""
        with self._lock:
            self.dropped_questions += count

    def warn(self) -> None:
        """Logs which files were left out, if any: for where nobody else will say it."""
        if self.reasons:
            _log.warning("%s", self)

    def first(self) -> str:
        """The first bad files with their reasons, and how many more there are."""
        with self._lock:
            found = sorted(self.reasons.items())
        lines = [f"{name}: {reason}" for name, reason in found[:SHOWN]]
        more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
        return "; ".join([*lines, *more])

    def __str__(self) -> str:
        head = f"{len(self.reasons)} of {max(self._expected, self.seen)} media files could not be"
        return f"{head} read: {self.first()}" if self.reasons else f"{head} read"
