"""Scenes as files: H.264 in mp4, png. Both lose colour resolution, as a camera's files do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import cv2

from fewvid.data.shapes.renderers import pixels
from fewvid.data.shapes.scene import Scene
from fewvid.data.shapes.variant import FPS, SIZE

# One thread, and no mbtree (which reads memory that it never set): same frames, same bytes.
X264 = {"crf": "12", "preset": "veryfast", "threads": "1", "mbtree": "0"}


def write_clip(path: Path, scenes: Sequence[Scene], look: str) -> None:
    """Renders the scenes, one after the other, into an mp4 (H.264, FPS frames a second)."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options=X264)
        stream.width = stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for frame in pixels(scenes, look):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def write_picture(path: Path, scenes: Sequence[Scene], look: str) -> None:
    """Renders the first frame into a png, its colours at half resolution as in a video."""
    halved = cv2.cvtColor(pixels(scenes, look)[0], cv2.COLOR_RGB2YUV_I420)
    cv2.imwrite(str(path), cv2.cvtColor(halved, cv2.COLOR_YUV2BGR_I420))
