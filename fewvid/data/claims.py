"""The picture size that a container's header claims, read without a decoder.

Decoders look for the size by decoding, and allocate for it; and where container and stream
disagree they believe the stream. A claim that is too large is refused before any of that.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from fewvid.data.sniff import check_pixels

_Sizes = Iterator[tuple[int, int]]
_MP4_FOLDERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl"})
SEGMENT, _TRACKS, _TRACK, _VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0xE0
_PIXEL_WIDTH, _PIXEL_HEIGHT, _CLUSTER = 0xB0, 0xBA, 0x1F43B675
# A header has tens of entries; a file of millions of empty ones is made to waste time.
_MOST_ENTRIES = 5000


def check_claims(path: Path, head: bytes) -> None:
    """Raises UserError where the header claims a picture above `sniff.MAX_PIXELS`.

    Args:
      path: a file.
      head: its first bytes.
    """
    with path.open("rb") as file:
        for width, height in _claims(file, head):
            if width and height:
                check_pixels(path, width, height)


def _claims(file: BinaryIO, head: bytes) -> _Sizes:
    if head[:4] == b"GIF8" and len(head) >= 10:
        yield struct.unpack("<HH", head[6:10])
    elif head[:8] == b"\x89PNG\r\n\x1a\n" and len(head) >= 24:
        yield struct.unpack(">II", head[16:24])
    elif head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        yield from _avi(head)
    elif head[:2] == b"BM" and len(head) >= 26:
        width, height = struct.unpack("<ii", head[18:26])
        yield abs(width), abs(height)
    elif head[:3] == b"\xff\xd8\xff":
        yield from _jpeg(file)
    elif head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip"):
        file.seek(0, 2)
        yield from _mp4(file, 0, file.tell())
    elif head[:4] == b"\x1aE\xdf\xa3":
        file.seek(0, 2)
        yield from _matroska(file, 0, file.tell())


def _jpeg(file: BinaryIO) -> _Sizes:
    file.seek(2)
    for _ in range(_MOST_ENTRIES):
        segment = file.read(9)  # 0xff, kind, length of 2 bytes; in a frame header: depth, size
        if len(segment) < 9:
            return
        if segment[0] != 0xFF or segment[1] in (0x00, 0xFF):
            file.seek(-8, 1)  # between segments: look one byte on, as decoders do
            continue
        if 0xC0 <= segment[1] <= 0xCF and segment[1] not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", segment[5:9])
            yield width, height
            return
        file.seek(int.from_bytes(segment[2:4], "big") + 2 - 9, 1)


def _avi(head: bytes) -> _Sizes:
    at = head.find(b"vids")
    at = head.find(b"strf", at)
    if at >= 0 and len(head) >= at + 20:
        width, height = struct.unpack("<ii", head[at + 12 : at + 20])
        yield abs(width), abs(height)  # a negative height: stored top row first


def _mp4(file: BinaryIO, start: int, end: int) -> _Sizes:
    is_video = True
    for _ in range(_MOST_ENTRIES):
        if start + 8 > end:
            return
        file.seek(start)
        size, kind = struct.unpack(">I4s", file.read(8))
        header = 8
        if size == 1:
            size, header = int.from_bytes(file.read(8), "big"), 16
        stop = min(start + size, end) if size else end
        if stop < start + header:
            return
        if kind in _MP4_FOLDERS and is_video:
            yield from _mp4(file, start + header, stop)
        elif kind == b"hdlr":
            is_video = file.read(12)[8:12] == b"vide"
        elif kind == b"stsd" and is_video:
            entry = file.read(44)  # flags, count, size, format, then the entry's own fields
            if len(entry) == 44:
                yield struct.unpack(">HH", entry[40:44])
        elif kind == b"tkhd":
            box = file.read(min(stop - start - header, 104))
            width, height = struct.unpack(">II", box[-8:]) if len(box) >= 8 else (0, 0)
            yield width >> 16, height >> 16
        start = stop


def _matroska(file: BinaryIO, start: int, end: int) -> _Sizes:
    width = height = 0
    for _ in range(_MOST_ENTRIES):
        if start >= end:
            break
        file.seek(start)
        kind, id_length = ebml_number(file, keep_marker=True)
        size, size_length = ebml_number(file, keep_marker=False)
        if kind == _CLUSTER or not id_length or not size_length:
            break
        inside = start + id_length + size_length
        unknown = size == (1 << 7 * size_length) - 1
        stop = end if unknown else min(inside + size, end)
        if kind in (SEGMENT, _TRACKS, _TRACK, _VIDEO):
            yield from _matroska(file, inside, stop)
        elif kind in (_PIXEL_WIDTH, _PIXEL_HEIGHT) and size <= 8:
            value = int.from_bytes(file.read(size), "big")
            width, height = (value, height) if kind == _PIXEL_WIDTH else (width, value)
        start = stop
    if width and height:
        yield width, height


def ebml_number(file: BinaryIO, keep_marker: bool) -> tuple[int, int]:
    """Returns a number of variable length and the bytes that it takes (0: there is none)."""
    first = file.read(1)
    if not first or not first[0]:
        return 0, 0
    length = 9 - first[0].bit_length()
    rest = file.read(length - 1)
    value = first[0] if keep_marker else first[0] & ((1 << (8 - length)) - 1)
    return int.from_bytes(bytes([value]) + rest, "big"), length
