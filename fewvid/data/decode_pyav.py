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

# Decoded pictures that a short file may hold in memory, in bytes of libav's own pixel format.
_HELD_BYTES = 48 * 2**20


def read(path: Path, frames: int | None, size: int | None, deadline: Deadline) -> Clip:
    """Reads frames chosen by time; arguments as in `fewvid.data.decode.decode_video`.

    Raises:
      Unreadable: PyAV finds no video in the file, or no frame that decodes.
      UserError: the file has no video stream, claims too large a picture, or takes too long.
    """
    with open_video(path, deadline) as video:
        fits = 0 < video.announced_pixels * 2 <= _HELD_BYTES
    if frames is not None and not fits:
        try:
            return read_seeking(path, frames, size, deadline)
        except Surprise:
            pass
    return read_through(path, frames, size, deadline)


def read_through(path: Path, frames: int | None, size: int | None, deadline: Deadline) -> Clip:
    """Decodes everything, and chooses among the frames that really came out."""
    stack, convert = Stack(path, size), Converter()
    held: list[Any] | None = []
    held_bytes = corrupt = 0
    times: list[float] = []
    with open_video(path, deadline) as video:
        gap = video.gap
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
                if held_bytes > _HELD_BYTES:
                    held = None
        if not times:
            why = f" ({video.last_error})" if video.last_error else ""
            raise Unreadable(f"no frame of it decodes{why}")
        duration = times[-1] - times[0] + gap
        notes = _damage(video, len(times), duration, corrupt)
    stamps = np.array(times)
    chosen = choose(stamps, frames)
    if frames is not None:
        kept = _again(path, chosen, deadline) if held is None else (held[i] for i in chosen)
        for frame in kept:
            stack.add(convert(frame), frame.rotation)
        chosen = chosen[: len(stack)]
    return stack.clip(stamps[chosen] - times[0], frames, len(times), duration, "pyav", notes)


def _again(path: Path, chosen: np.ndarray, deadline: Deadline) -> Iterator[Any]:
    """Decodes a second time; yields the frames whose places in the order are chosen."""
    places = set(chosen.tolist())
    with open_video(path, deadline) as video:
        for place, frame in enumerate(video.frames()):
            if place in places:
                yield frame
            if place >= chosen[-1]:
                return


def _damage(video: VideoFile, decoded: int, duration: float, corrupt: int) -> tuple[str, ...]:
    damaged = video.errors + corrupt
    if video.is_short(decoded, duration):
        announced = video.stream.frames
        if announced > decoded:
            found = f"{decoded} of the announced {announced} frames decode"
        else:
            found = f"{duration:.1f} of the announced {video.announced_seconds:.1f} s decode"
        return (f"{found}; the rest is {'damaged' if damaged else 'missing'}",)
    if damaged:
        return (f"the file is damaged; the {decoded} frames that decode are used",)
    return ()
