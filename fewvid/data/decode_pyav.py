"""The first decoding backend: PyAV (libav), which reads every codec that the tests know of.

Two ways through a file. A short one is decoded from end to end, once, and frames are chosen from
what came out. A long one is scanned and sought in (`decode_pyav_seek`); when that meets anything
that a sound file would not show, the file is decoded from end to end after all, because only that
tells which frames there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fewvid.data.clip import Clip, Deadline, Unreadable
from fewvid.data.decode_pyav_file import Converter, VideoFile, open_video
from fewvid.data.decode_pyav_seek import Surprise, read_seeking
from fewvid.data.frames import Stack, choose
from fewvid.data.sniff import MAX_SIDE
from fewvid.errors import UserError

# Decoded pictures that a short file may hold in memory, in bytes of libav's own pixel format.
_HELD_BYTES = 48 * 2**20


def read(path: Path, frames: int | None, size: int | None, deadline: Deadline) -> Clip:
    """Reads frames chosen by time; arguments as in `fewvid.data.decode.decode_video`.

    Raises:
      Unreadable: PyAV finds no video in the file, or no frame that decodes.
      UserError: the file has no video stream, claims too large a picture, or takes too long.
    """
    with open_video(path, deadline) as video:
        if frames is None or 0 < video.announced_pixels * 2 <= _HELD_BYTES:
            return _read_through(video, frames, size)
    try:
        return read_seeking(path, frames, size, deadline)
    except Surprise:
        with open_video(path, deadline) as video:
            return _read_through(video, frames, size)


def _read_through(video: VideoFile, frames: int | None, size: int | None) -> Clip:
    """Decodes everything, and chooses among the frames that really came out."""
    stack, convert = Stack(video.path, size), Converter()
    held: list[Any] | None = []
    held_bytes = corrupt = 0
    times: list[float] = []
    gap = video.gap
    notes: tuple[str, ...] = ()
    for frame in video.frames():
        time = video.seconds(frame.pts)
        # A missing or a falling stamp: the frame came out after the last one, so it is later.
        if time is None or (times and time <= times[-1]):
            time = times[-1] + gap if times else 0.0
        times.append(time)
        gap = video.seconds(frame.duration) or gap
        corrupt += frame.is_corrupt
        if frames is None:
            stack.add(convert(frame), frame.rotation)
        elif held is not None:
            held.append(frame)
            held_bytes += sum(plane.buffer_size for plane in frame.planes)
            held = held if held_bytes <= _HELD_BYTES else None
        # Where frames are not held, they are to be decoded once more in the time that is left.
        if video.deadline.spent(0.4 if held is None else 0.8):
            seconds = times[-1] - times[0]
            notes = (f"slow to decode: only its first {seconds:.1f} s were read; raise timeout_s",)
            break
    if not times:
        if video.refused:  # not for another backend, which would allocate it
            raise UserError(
                f"{video.path}: the decoder refuses every frame ({video.last_error}); "
                f"wanted a sound video of at most {MAX_SIDE}x{MAX_SIDE} pixels"
            )
        why = f" ({video.last_error})" if video.last_error else ""
        raise Unreadable(f"no frame of it decodes{why}")
    duration = times[-1] - times[0] + gap
    notes = notes or video.losses(len(times), duration, damaged=corrupt > 0)
    stamps = np.array(times)
    chosen = choose(stamps, frames)
    if frames is not None:
        kept = _again(video, chosen) if held is None else (held[i] for i in chosen)
        for frame in kept:
            stack.add(convert(frame), frame.rotation)
    return stack.clip(stamps[chosen] - times[0], frames, len(times), duration, "pyav", notes)


def _again(video: VideoFile, chosen: np.ndarray) -> Iterator[Any]:
    """Decodes a second time; yields the frames whose places in the order are chosen."""
    places = set(chosen.tolist())
    with open_video(video.path, video.deadline) as again:
        for place, frame in enumerate(again.frames()):
            if place in places:
                yield frame
            if place == chosen[-1]:
                return
