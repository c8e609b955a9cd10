"""The other decoding backend: OpenCV, for what PyAV cannot open and as a check on it.

OpenCV reports no error and its frame counts cannot be trusted, so frames are counted by grabbing.
Its wheel has no AV1 decoder. It turns rotated videos upright by itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fewvid.data.clip import Clip, Deadline, Unreadable
from fewvid.data.cut_off import cut_off
from fewvid.data.frames import Stack, choose
from fewvid.data.sniff import check_pixels

# Read by OpenCV when it first opens a file: its libav says nothing on stderr.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def read(path: Path, frames: int | None, size: int | None, deadline: Deadline) -> Clip:
    """Reads frames chosen by time; arguments as in `fewvid.data.decode.decode_video`.

    Raises:
      Unreadable: OpenCV does not open the file, or no frame of it decodes.
      UserError: it claims too large a picture, or takes too long.
    """
    times: list[float] = []
    with _open(path, deadline) as video:
        gap = 1 / (video.get(cv2.CAP_PROP_FPS) or 25)
        announced = video.get(cv2.CAP_PROP_FRAME_COUNT)
        while video.grab():
            deadline.check()
            time = video.get(cv2.CAP_PROP_POS_MSEC) / 1000
            times.append(time if not times or time > times[-1] else times[-1] + gap)
    if not times:
        raise Unreadable("no frame of it decodes")
    stamps = np.array(times)
    chosen = choose(stamps, frames)
    stack = Stack(path, size)
    for picture in _pictures(path, set(chosen.tolist()), deadline):
        stack.add(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
    if not len(stack):
        raise Unreadable("no frame of it decodes")
    notes: tuple[str, ...] = ()
    if cut := cut_off(path):
        notes = (f"{len(times)} frames decode; the rest is cut off ({cut})",)
    # OpenCV's count is often duration x rate: a few frames off says nothing.
    elif 0.9 * announced > len(times):
        notes = (
            f"{len(times)} of the announced {announced:.0f} frames decode; the rest is damaged",
        )
    duration = times[-1] - times[0] + gap
    used = stamps[chosen[: len(stack)]] - times[0]
    return stack.clip(used, frames, len(times), duration, "opencv", notes)


def _pictures(path: Path, places: set[int], deadline: Deadline) -> Iterator[np.ndarray]:
    with _open(path, deadline) as video:
        for place in range(max(places) + 1):
            deadline.check()
            if not video.grab():
                return
            if place in places:
                ok, picture = video.retrieve()
                if ok:
                    yield picture


@contextmanager
def _open(path: Path, deadline: Deadline) -> Iterator[Any]:
    limit = int(deadline.left() * 1000)
    # CAP_FFMPEG: without it OpenCV takes digits in a name for a series of pictures.
    video = cv2.VideoCapture(
        str(path),
        cv2.CAP_FFMPEG,
        [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit],
    )
    try:
        if not video.isOpened():
            deadline.check()
            raise Unreadable("not a video that can be read")
        width = int(video.get(cv2.CAP_PROP_FRAME_WIDTH))
        height = int(video.get(cv2.CAP_PROP_FRAME_HEIGHT))
        check_pixels(path, width or 1, height or 1)
        yield video
    finally:
        video.release()
