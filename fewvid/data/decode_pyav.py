"""The first decoding backend: PyAV (libav), which reads every codec that the tests know of.

Two ways through a file. A short one is decoded from end to end, once, and frames are chosen from
what came out. A long one is scanned first: packets, not pictures, tell the time stamps, and then
only the stretches from a key frame to a wanted frame are decoded. When that meets anything that a
sound file would not show, the file is decoded from end to end after all, because only that tells
which frames there are.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import av.logging
import numpy as np
from av.stream import Disposition
from av.video.reformatter import VideoReformatter

from fewvid.data.clip import Clip, Deadline, Unreadable
from fewvid.data.frames import Stack, choose
from fewvid.data.sniff import MAX_PIXELS, check_pixels
from fewvid.errors import UserError

# libav's own threads would print to stderr, and PyAV's Python callback can deadlock with them.
av.logging.set_level(None)

# Decoded pictures that a short file may hold in memory at once, in bytes of libav's own format.
_HELD_BYTES = 48 * 2**20
# Below this many pixels in a whole file, starting threads costs more than they bring.
_SMALL_PIXELS = 2**22
# In these formats a "key frame" is drawn over the frames before it, or seeking is not possible.
_NO_SEEK = frozenset({"gif", "apng", "webp", "yuv4mpegpipe", "image2", "png_pipe"})
# Decoding on is cheaper than a seek when so few frames lie between.
_SEEK_GAP = 4


class _Surprise(Exception):
    """The packets promised something that the decoder does not keep."""


@dataclass
class _Damage:
    errors: int = 0
    last: str = ""

    def add(self, error: Exception) -> None:
        self.errors += 1
        self.last = getattr(error, "strerror", None) or str(error)


@dataclass
class _Video:
    path: Path
    container: Any
    stream: Any
    deadline: Deadline
    damage: _Damage = field(default_factory=_Damage)

    def packets(self) -> Iterator[Any]:
        """Yields the packets that can be read; the flush packet, last, is always yielded."""
        flush = None
        try:
            for packet in self.container.demux(self.stream):
                self.deadline.check()
                if packet.size:
                    yield packet
                else:
                    flush = packet
        except av.FFmpegError as error:
            self.deadline.check()
            self.damage.add(error)
        yield flush

    def frames(self) -> Iterator[Any]:
        """Yields decoded frames in the order of showing, past damaged packets."""
        for packet in self.packets():
            self.deadline.check()
            try:
                decoded = self.stream.codec_context.decode(packet)
            except av.error.EOFError:
                return
            except av.FFmpegError as error:
                self.damage.add(error)
                continue
            for frame in decoded:
                check_pixels(self.path, frame.width, frame.height)
                yield frame

    def seconds(self, pts: int | None) -> float | None:
        return None if pts is None else float(pts * self.stream.time_base)

    @property
    def gap(self) -> float:
        """Seconds from one frame to the next, by the header; only used where stamps are missing."""
        rate = self.stream.average_rate or self.stream.guessed_rate
        return float(1 / rate) if rate else 1 / 25

    @property
    def pixels(self) -> int:
        """Pixels of the whole file as far as the header tells; 0 where it does not tell."""
        frames = self.stream.frames
        if not frames and self.container.duration:
            frames = self.container.duration / av.time_base / self.gap
        return int(max(frames, 0) * self.stream.width * self.stream.height)


def read(path: Path, frames: int | None, size: int | None, deadline: Deadline) -> Clip:
    """Reads `frames` frames chosen by time (see `fewvid.data.decode.decode_video`).

    Raises:
      Unreadable: PyAV finds no video in the file, or no frame that decodes.
      UserError: the file has no video stream, claims too large a picture, or takes too long.
    """
    with _open(path, deadline) as video:
        long = frames is not None and not 0 < video.pixels * 2 <= _HELD_BYTES
    if long:
        try:
            return _read_long(path, frames, size, deadline)
        except _Surprise:
            pass
    return _read_through(path, frames, size, deadline)


@contextmanager
def _open(path: Path, deadline: Deadline) -> Iterator[_Video]:
    # "file:" and the whitelist: neither a name with a colon nor a playlist reaches the network.
    options = {"protocol_whitelist": "file", "max_pixels": str(MAX_PIXELS)}
    try:
        container = av.open(f"file:{path}", options=options, timeout=deadline.left())
    except av.FFmpegError as error:
        deadline.check()
        raise Unreadable(f"not a video that can be read ({error.strerror})") from None
    with container:
        pictures = [s for s in container.streams.video if not _is_cover(s)]
        if not pictures:
            kinds = sorted({stream.type for stream in container.streams})
            what = "only audio" if kinds in (["audio"], ["audio", "video"]) else "no pictures"
            raise UserError(f"{path}: holds {what}; wanted a file with a video stream")
        stream = pictures[0]
        check_pixels(path, stream.width or 1, stream.height or 1)
        video = _Video(path, container, stream, deadline)
        if 0 < video.pixels <= _SMALL_PIXELS:
            stream.codec_context.thread_type = "NONE"
            stream.codec_context.thread_count = 1
        else:
            stream.codec_context.thread_type = "AUTO"
        yield video


def _is_cover(stream: Any) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


def _read_through(path: Path, frames: int | None, size: int | None, deadline: Deadline) -> Clip:
    """Decodes everything, and chooses among the frames that really came out."""
    held: list[Any] | None = []
    stack = Stack(path, size)
    picture = _Converter()
    times: list[float] = []
    corrupt = 0
    with _open(path, deadline) as video:
        held_bytes = 0
        gap = video.gap
        for frame in video.frames():
            time = video.seconds(frame.pts)
            # A missing or a falling stamp: the frame came after the last one, so it is later.
            if time is None or (times and time <= times[-1]):
                time = times[-1] + gap if times else 0.0
            times.append(time)
            corrupt += frame.is_corrupt
            gap = video.seconds(frame.duration) or gap
            if frames is None:
                stack.add(picture(frame), frame.rotation)
            elif held is not None:
                held.append(frame)
                held_bytes += sum(plane.buffer_size for plane in frame.planes)
                if held_bytes > _HELD_BYTES:
                    held = None
        announced = video.stream.frames
        announced_seconds = (video.container.duration or 0) / av.time_base
        damage = video.damage
    if not times:
        reason = f" ({damage.last})" if damage.last else ""
        raise Unreadable(f"no frame of it decodes{reason}")
    stamps = np.array(times)
    wanted = choose(stamps, frames)
    if frames is not None:
        for frame in held[i] if held is not None else _again(path, wanted, deadline):
            stack.add(picture(frame), frame.rotation)
    duration = times[-1] - times[0] + gap
    notes = _damage_notes(len(times), announced, duration, announced_seconds, damage, corrupt)
    return _clip(stack, stamps[wanted[: len(stack)]] - times[0], frames, len(times), duration, notes)


def _again(path: Path, wanted: np.ndarray, deadline: Deadline) -> Iterator[Any]:
    """Decodes a second time; yields the frames whose place in the order is in `wanted`."""
    places = set(wanted.tolist())
    with _open(path, deadline) as video:
        for place, frame in enumerate(video.frames()):
            if place in places:
                yield frame
            if place == wanted[-1]:
                return


def _read_long(path: Path, frames: int | None, size: int | None, deadline: Deadline) -> Clip:
    """Scans packets for time stamps, then decodes only what leads to the wanted frames."""
    with _open(path, deadline) as video:
        stamps, keys, gap = _scan(video)
    wanted = [stamps[i] for i in choose(np.array(stamps) * float(video_base(video)), frames)]
    raise NotImplementedError
