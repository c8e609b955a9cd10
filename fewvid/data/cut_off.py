"""Whether a file ends before its container does: a download or a copy that stopped half-way.

Containers write down how long their parts are, or mark their end. Decoders read what is there
and say nothing of the rest, and a header's count of frames or seconds is no witness: it rounds,
and counts sound. Formats without such marks (MPEG-TS, Ogg, FLV) are taken for whole.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from fewvid.data.claims import SEGMENT, ebml_number

# A file of more parts than this is not followed to its end; an hour of live video has 10**5.
_MOST_PARTS = 300_000


def cut_off(path: Path) -> str:
    """Returns what tells of a cut, such as "9 of at least 12 bytes are there", or ""."""
    with path.open("rb") as file:
        head = file.read(12)
        size = file.seek(0, 2)
        end = _walk_of(head)(file, size)
    if end is None:
        return f"it stops after {size} bytes, without its end"
    return f"{size} of at least {end} bytes are there" if end > size else ""


# Where the container ends by its own account: at most the size where that is not known, None
# where it goes on by an unknown number of bytes.
_Walk = Callable[[BinaryIO, int], int | None]


def _walk_of(head: bytes) -> _Walk:
    if head[:4] == b"\x1aE\xdf\xa3":
        return _matroska
    if head[:4] == b"RIFF":
        return _riff
    if head[:4] == b"GIF8":
        return _gif
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip"):
        return _mp4
    return lambda file, size: 0


def _mp4(file: BinaryIO, size: int) -> int | None:
    """Boxes of a length each, 0 for the rest of the file."""
    at = 0
    for _ in range(_MOST_PARTS):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8 or not head[4:8].isalnum():
            return at  # a few bytes or no box: what some programs append, nothing missing
        length = int.from_bytes(head[:4], "big")
        if length == 1 and len(head) == 16:
            length = int.from_bytes(head[8:], "big")
        if length < 8:
            return at
        at += length
    return at


def _riff(file: BinaryIO, size: int) -> int | None:
    """AVI (which goes on in further RIFFs past 1 GiB) and WebP. A length of 0: not known."""
    at = 0
    for _ in range(_MOST_PARTS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8 or head[:4] != b"RIFF" or head[4:] in (bytes(4), b"\xff" * 4):
            break
        at += 8 + int.from_bytes(head[4:], "little")
    return size if size < at <= size + 8 else at  # some writers count these 8 bytes twice


def _matroska(file: BinaryIO, size: int) -> int | None:
    """Elements of a length each. One without, as live recordings have them, is looked into."""
    at = end = 0
    for _ in range(_MOST_PARTS):
        if at >= size:
            return at
        file.seek(at)
        kind, id_length = ebml_number(file, keep_marker=True)
        length, size_length = ebml_number(file, keep_marker=False)
        inside = at + id_length + size_length
        if not id_length:
            return end  # no element: what comes is damaged, or was appended
        if not size_length:
            return None
        unknown = length == (1 << 7 * size_length) - 1
        if kind == SEGMENT and not unknown:
            return inside + length
        at = end = inside if unknown else inside + length
    return end


def _gif(file: BinaryIO, size: int) -> int | None:
    """Blocks up to a trailer of one byte; their data lies in strings of up to 255 bytes."""
    file.seek(0)
    head = file.read(13)
    if len(head) < 13:
        return None
    file.seek(_palette(head[10]), 1)
    for _ in range(_MOST_PARTS):
        block = file.read(1)
        if block == b";":
            return file.tell()
        if block == b"!":
            file.seek(1, 1)
        elif block == b",":
            place = file.read(9)
            file.seek((_palette(place[8]) if len(place) == 9 else 0) + 1, 1)
        else:
            return 0 if block else None  # no block: damaged, which is for the decoder to say
        while length := file.read(1):
            if not length[0]:
                break
            file.seek(length[0], 1)
    return 0


def _palette(flags: int) -> int:
    """Bytes of the colour table that a GIF's flags tell of."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0
