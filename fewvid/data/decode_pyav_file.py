"""An opened video file of PyAV: its packets, its frames past any damage, its header's claims."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import av.logging
import numpy as np
from av import error as av_error
from av.error import FFmpegError
from av.stream import Disposition
from av.video.reformatter import VideoReformatter

from fewvid.data.clip import Deadline, Unreadable
from fewvid.data.cut_off import cut_off
from fewvid.data.sniff import MAX_PIXELS, check_pixels
from fewvid.errors import UserError

# libav would print to stderr, and PyAV's callback into Python can deadlock with libav's threads.
av.logging.set_level(None)


@dataclass
class VideoFile:
    """One video stream of an opened file. Not shared between threads."""

    path: Path
    container: Any
    stream: Any
    deadline: Deadline
    errors: int = 0
    last_error: str = ""
    refused: bool = False  # the decoder did not accept what it was given, such as a frame size

    def packets(self) -> Iterator[Any]:
        """Yields the packets that can be read, then None (which tells a decoder to flush)."""
        try:
            for packet in self.container.demux(self.stream):
                self.deadline.check()
                if packet.size:
                    yield packet
        except (FFmpegError, ValueError) as error:
            self.note(error)
        yield None

    def frames(self) -> Iterator[Any]:
        """Yields decoded frames in the order of showing; skips damaged packets and counts them.

        After a damaged packet nothing is yielded until a key frame: what libav still gives is
        drawn over frames that are missing.
        """
        lost = False
        for packet in self.packets():
            try:
                decoded = self.stream.codec_context.decode(packet)
            except av_error.EOFError:
                return
            except (FFmpegError, ValueError) as error:  # ValueError: a codec without a name
                self.note(error)
                lost = True
                continue
            for frame in decoded:
                self.deadline.check()
                lost = lost and not frame.key_frame
                if lost:
                    continue
                check_pixels(self.path, frame.width, frame.height)
                yield frame

    def note(self, error: FFmpegError | ValueError) -> None:
        """Counts one damage."""
        self.deadline.check()
        self.errors += 1
        self.last_error = getattr(error, "strerror", None) or str(error)
        self.refused |= isinstance(error, av_error.ArgumentError)

    def seconds(self, stamp: int | None) -> float | None:
        """Returns a time stamp or a length of this stream in seconds."""
        return None if stamp is None else float(stamp * self.stream.time_base)

    @property
    def gap(self) -> float:
        """Seconds from a frame to the next by the header; used only where stamps are missing."""
        rate = self.stream.average_rate or self.stream.guessed_rate
        return float(1 / rate) if rate else 1 / 25

    @property
    def announced_seconds(self) -> float:
        """The length by the header, 0 where it tells none."""
        if self.stream.duration:
            return float(self.stream.duration * self.stream.time_base)
        return (self.container.duration or 0) / av.time_base

    def is_short(self, frames: int, seconds: float) -> bool:
        """Says whether a header announced more than was found."""
        # A tenth is left to sound that outlasts the pictures and to headers that round.
        return frames < self.stream.frames or seconds < 0.9 * self.announced_seconds - 0.2

    def losses(self, frames: int, seconds: float, damaged: bool = False) -> tuple[str, ...]:
        """Says in one note what the file lacks, given what was found of it; nothing if it is whole.

        damaged: something did not decode, besides the packets that `note` has counted.
        """
        damaged = damaged or self.errors > 0
        cut = cut_off(self.path)
        if not cut and not self.is_short(frames, seconds):
            lost = f"the file is damaged; the {frames} frames that decode are used"
            return (lost,) if damaged else ()
        found = "1 frame decodes" if frames == 1 else f"{frames} frames decode"
        announced = self.announced_seconds
        if self.stream.frames > frames:
            found = f"{frames} of the announced {self.stream.frames} frames decode"
        elif round(seconds, 1) < round(announced, 1):
            found += f": {seconds:.1f} of the announced {announced:.1f} s"
        rest = "the rest is damaged" if damaged else "there are no more"
        return (f"{found}; the rest is cut off ({cut})" if cut else f"{found}; {rest}",)

    @property
    def announced_pixels(self) -> int:
        """Pixels of all frames by the header, 0 where it does not tell."""
        frames = self.stream.frames or self.announced_seconds / self.gap
        return max(int(frames * self.stream.width * self.stream.height), 0)


@contextmanager
def open_video(path: Path, deadline: Deadline, *, threads: bool = False) -> Iterator[VideoFile]:
    """Opens the first video stream of a file that is no cover picture.

    Without threads a damaged file gives the same frames on every machine, and a small one is read
    faster; a long sound one is read faster with them.

    Raises:
      Unreadable: libav knows no such format.
      UserError: no video stream, or a picture larger than `MAX_PIXELS`.
    """
    # "file:" and the whitelist: neither a name with a colon nor a playlist reaches the network.
    options = {"protocol_whitelist": "file", "max_pixels": str(MAX_PIXELS)}
    try:
        container = av.open(f"file:{path}", options=options, timeout=deadline.left())
    except (FFmpegError, ValueError) as error:
        deadline.check()
        reason = getattr(error, "strerror", None) or str(error)
        raise Unreadable(f"not a video that can be read ({reason})") from None
    with container:
        pictures = [s for s in container.streams.video if not _is_cover(s)]
        if not pictures:
            audio = any(stream.type == "audio" for stream in container.streams)
            holds = "only audio" if audio else "no pictures"
            raise UserError(f"{path}: holds {holds}; wanted a file with a video stream")
        # A stream of a codec that libav does not know has no decoder, and no size either.
        stream = next((s for s in pictures if s.codec_context is not None), None)
        if stream is None:
            raise Unreadable("its video codec is not known")
        # A size of 0 is not known before the first frame in some formats.
        check_pixels(path, stream.width or 1, stream.height or 1)
        video = VideoFile(path, container, stream, deadline)
        # Once for libav's look at the file, above, and once for the decoder itself.
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        if threads:
            stream.codec_context.thread_type = "AUTO"
        else:
            stream.codec_context.thread_type = "NONE"
            stream.codec_context.thread_count = 1
        yield video


def _is_cover(stream: Any) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


class Converter:
    """Turns frames of one file into RGB; keeps libav's scaler, which is dear to set up."""

    def __init__(self) -> None:
        self._scaler = VideoReformatter()

    def __call__(self, frame: Any) -> np.ndarray:
        """Returns uint8[H,W,3] of a decoded frame, not yet turned upright."""
        return self._scaler.reformat(frame, format="rgb24", threads=1).to_ndarray()
