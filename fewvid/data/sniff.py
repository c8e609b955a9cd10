"""A look at a file before any decoder sees it: the plain mistakes, told in one line.

Decoders guess: they open a text file as ANSI art, a playlist as a network stream, and allocate
what a header claims. What a file's name, size and first bytes tell against it is refused here.
"""

from __future__ import annotations

from pathlib import Path

from fewvid.errors import UserError, closest

# A frame above this number of pixels is refused before memory is allocated for it.
MAX_SIDE = 8192
MAX_PIXELS = MAX_SIDE * MAX_SIDE

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"})
_TEXT_VIDEO = (b"YUV4MPEG2",)  # raw video whose header is text
_HEAD = 4096


def check_file(path: Path, wanted: str) -> bytes:
    """Returns the first bytes of a regular, non-empty file that is no text.

    Raises:
      UserError: it is missing, a directory, no regular file, empty, unreadable or a text.
    """
    if not path.exists():
        near = closest(path.name, _names(path.parent))
        raise UserError(f"{path}: no such file; wanted {wanted}.{near}")
    if path.is_dir():
        raise UserError(f"{path}: is a directory; wanted {wanted}")
    if not path.is_file():
        raise UserError(f"{path}: is no regular file (a pipe or a device); wanted {wanted}")
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); wanted {wanted}") from None
    if not head:
        raise UserError(f"{path}: the file is empty (0 bytes); wanted {wanted}")
    if is_text(head):
        raise UserError(f"{path}: is a text file; wanted {wanted}")
    return head


def is_text(head: bytes) -> bool:
    """Says whether the first bytes of a file are text (playlists and subtitles are text too)."""
    if head.startswith(_TEXT_VIDEO):
        return False
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) and b"\x00" in head[2:8]:
        return True  # UTF-16
    if any(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in head):
        return False
    # Cut after the last whole character: the first bytes may end inside one.
    for cut in range(4):
        try:
            head[: len(head) - cut].decode("utf-8")
            return True
        except UnicodeDecodeError:
            continue
    return False


def is_picture(head: bytes) -> bool:
    """Says whether a file is a still picture (moving GIF, APNG and WebP are not still)."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return b"acTL" not in head
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP" and len(head) > 20:
        return not (head[12:16] == b"VP8X" and head[20] & 2)  # the flag of an animation
    return head.startswith((b"\xff\xd8\xff", b"BM", b"II*\x00", b"MM\x00*"))


def check_pixels(path: Path, width: int, height: int) -> None:
    """Raises UserError for a picture size that is 0 or above `MAX_PIXELS`."""
    if width <= 0 or height <= 0:
        raise UserError(f"{path}: the header claims {width}x{height} pixels: no picture in it")
    if width * height > MAX_PIXELS:
        raise UserError(
            f"{path}: the header claims {width}x{height} pixels, more than the "
            f"{MAX_SIDE}x{MAX_SIDE} = {MAX_PIXELS} that are read; is the file damaged?"
        )


def _names(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in folder.iterdir()]
    except OSError:
        return []
