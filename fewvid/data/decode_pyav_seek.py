"""Long, sound files: packets tell the time stamps, and only what leads to wanted frames is decoded.

Measured on 30 s of 720p: 1.5 to 2.5 times faster than decoding through for 8 frames, never slower.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from av.error import FFmpegError

from fewvid.data.clip import Clip, Deadline
from fewvid.data.decode_pyav_file import Converter, VideoFile, open_video
from fewvid.data.frames import Stack, choose

# In these formats a "key" frame is drawn over the frames before it, or seeking is not possible.
_NO_SEEK = frozenset({"gif", "apng", "webp", "webp_anim", "rawvideo"})
# Decoding on is cheaper than a seek where so few frames lie between.
_SEEK_GAP = 4


class Surprise(Exception):
    """The packets promised something that the decoder does not keep: decode through instead."""


@dataclass(frozen=True)
class _Index:
    stamps: list[int]  # of frames that are shown, rising, each once
    keys: list[int]  # stamps of key frames, rising
    last_gap: float  # seconds that the last frame is shown


def read_seeking(path: Path, frames: int, size: int | None, deadline: Deadline) -> Clip:
    """Reads `frames` frames chosen by time.

    Raises:
      Surprise: the file is damaged or has no usable time stamps.
      UserError: it takes too long.
    """
    with open_video(path, deadline) as video:
        index = _scan(video)
        seconds = np.array([video.seconds(stamp) for stamp in index.stamps])
        duration = seconds[-1] - seconds[0] + index.last_gap
        if video.is_short(len(seconds), duration):
            raise Surprise
        notes = video.losses(len(seconds), duration)
    wanted = [index.stamps[i] for i in choose(seconds, frames)]
    stack = Stack(path, size)
    with open_video(path, deadline, threads=True) as video:
        used = _collect(video, index, wanted, stack)
    times = seconds[np.searchsorted(index.stamps, used)] - seconds[0]
    if used != wanted:
        notes += ("slow to decode: later frames are the key frames nearest to their moments",)
    return stack.clip(times, frames, len(seconds), duration, "pyav", notes)


def _scan(video: VideoFile) -> _Index:
    shown: dict[int, float] = {}
    keys: list[int] = []
    is_vp8 = video.stream.codec_context.name in ("vp8", "libvpx")
    for packet in video.packets():
        if packet is None or packet.is_discard:
            continue
        if is_vp8 and not memoryview(packet)[0] & 0x10:
            continue  # VP8's show_frame bit: a reference picture that is never shown
        if packet.pts is None or packet.pts in shown or packet.is_corrupt:
            raise Surprise
        shown[packet.pts] = video.seconds(packet.duration) or video.gap
        if packet.is_keyframe:
            keys.append(packet.pts)
    if not shown or video.errors:
        raise Surprise
    stamps = sorted(shown)
    seekable = video.stream.codec_context.name not in _NO_SEEK
    return _Index(stamps, sorted(keys) if seekable else [], shown[stamps[-1]])


def _collect(video: VideoFile, index: _Index, wanted: list[int], stack: Stack) -> list[int]:
    """Adds the frames with the wanted stamps (rising) to the stack; returns the stamps added.

    Past half of the time, a wanted frame is replaced by its key frame, which costs one picture.
    """
    convert = Converter()
    frames = video.frames()
    at = index.stamps[0]  # where the decoder stands
    used: list[int] = []
    for stamp in wanted:
        # The last key frame at or before a frame in time also precedes it in the file, even
        # where frames shown before a key frame follow it in the file (open groups of pictures).
        place = bisect.bisect_right(index.keys, stamp) - 1
        key = index.keys[place] if place >= 0 else index.stamps[0]
        if index.keys and video.deadline.spent(0.5):
            stamp = key
            if used and stamp <= used[-1]:
                continue
        between = bisect.bisect_left(index.stamps, key) - bisect.bisect_left(index.stamps, at)
        if between > _SEEK_GAP:
            try:
                video.container.seek(key, stream=video.stream)
            except (FFmpegError, OSError):
                raise Surprise from None
            video.stream.codec_context.flush_buffers()
            frames = video.frames()
        frame = _until(frames, stamp)
        if video.errors or frame.is_corrupt:
            raise Surprise
        stack.add(convert(frame), frame.rotation)
        used.append(stamp)
        at = stamp
    return used


def _until(frames: Any, stamp: int) -> Any:
    for frame in frames:
        if frame.pts is None or frame.pts > stamp:
            raise Surprise
        if frame.pts == stamp:
            return frame
    raise Surprise
