"""Videos in, uint8 RGB frames out, chosen by time. The one way in which fewvid reads a video.

What a file's header says is not believed: the frames that decode are what counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fewvid.data import decode_opencv, decode_pyav, picture_folder
from fewvid.data.claims import check_claims
from fewvid.data.clip import Clip, Deadline, Unreadable
from fewvid.data.cut_off import cut_off
from fewvid.data.frames import Stack
from fewvid.data.images import load_image
from fewvid.data.sniff import check_file, is_picture
from fewvid.errors import UserError, closest

__all__ = ["BACKENDS", "Clip", "decode_video"]

_URL = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)  # Path makes one slash of two
_READERS: dict[str, Callable[[Path, int | None, int | None, Deadline], Clip]] = {
    "pyav": decode_pyav.read,
    "opencv": decode_opencv.read,
}
BACKENDS = ("auto", *_READERS)


def decode_video(
    path: str | Path,
    frames: int | None,
    *,
    size: int | None = None,
    backend: str = "auto",
    timeout_s: float = 10.0,
    asked: bool = True,
    whole: bool = False,
) -> Clip:
    """Reads frames of a video, spread evenly over the time that it lasts.

    A still picture is a video of one frame; a folder of pictures is one of a frame a second, in
    the natural order of their names. Where fewer frames exist than are asked for, those are
    returned, each once, and `Clip.notes` says so. Damaged files give the frames that decode, and
    slow ones what half of the time allows (key frames, or their first part), with a note.
    May be called from many threads at once.

    Args:
      path: the file, or the folder of pictures.
      frames: how many, T; None for all of them.
      size: if given, every frame is squeezed to size x size pixels as soon as it is decoded,
        which keeps memory small (the same as `images.resize` afterwards).
      backend: "auto" (PyAV, and OpenCV where PyAV reads nothing), "pyav" or "opencv".
      timeout_s: seconds after which a file that still is not read is given up.
      asked: that somebody asked for so many; False for a default, of which a still picture, one
        frame by its nature, need not say that it has fewer.
      whole: leaves a still picture at its own size, whatever `size` is: for a model that reads it
        in tiles.

    Returns:
      A `Clip` of min(T, frames that exist) >= 1 frames.

    Raises:
      UserError: the path is empty or a URL, the file is missing, empty, no video, has sound only,
        no frame that decodes, a picture above 8192x8192 pixels, or needs longer than `timeout_s`.
    """
    if not str(path):
        raise UserError("the path of the video is empty; give a file or a folder of pictures")
    if _URL.match(str(path)) and not Path(path).exists():
        raise UserError(f"{path}: videos are read from disk; download it and give the file")
    path = Path(path)
    if frames is not None and frames < 1:
        raise UserError(f"frames={frames}: wanted 1 or more frames (or None for all)")
    if size is not None and size < 1:
        raise UserError(f"size={size}: wanted 1 or more pixels (or None for the video's own size)")
    if backend not in BACKENDS:
        known = ", ".join(BACKENDS)
        raise UserError(f"backend={backend!r}: wanted one of {known}.{closest(backend, BACKENDS)}")
    deadline = Deadline(path, timeout_s)
    if path.is_dir():
        return picture_folder.read(path, frames, size, deadline)
    head = check_file(path, wanted="a video file")
    check_claims(path, head)
    if is_picture(head):
        stack = Stack(path, None if whole else size)
        stack.add(load_image(path))
        return stack.clip(np.zeros(1), frames if asked else 1, 1, 0.0, "pictures", ())
    reasons = []
    for name in _READERS if backend == "auto" else (backend,):
        try:
            return _READERS[name](path, frames, size, deadline)
        except Unreadable as reason:
            reasons.append(str(reason))
    # The first backend is the one that knows more codecs, so its reason is the better one.
    cut = cut_off(path)
    why = f"{reasons[0]}; the file is cut off: {cut}" if cut else reasons[0]
    raise UserError(f"{path}: {why}; wanted a video file")
