"""Reads what matters here of an EXIF block: is there a position, a thumbnail, a maker note? (CIPA DC-008, TIFF 6.0)"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_THUMBNAIL_START, _THUMBNAIL_BYTES = 0x0201, 0x0202
_EXIF_POINTER, _GPS_POINTER, _MAKER_NOTE = 0x8769, 0x8825, 0x927C
_POSITIONS = {2, 4, 20, 22}  # latitude and longitude, of the camera and of what it looks at
_ENTRY_BYTES = 12


@dataclass(frozen=True)
class _Directory:
    """An image file directory, as far as it lies in the block."""

    entries: dict[int, int]  # tag → the entry's value field as a number: a value of up to 4 bytes, or where it lies
    following: int  # where the next directory lies
    whole: bool


_NONE = _Directory({}, 0, whole=False)


@dataclass(frozen=True)
class ExifFacts:
    """What an EXIF block gives away."""

    readable: bool  # the directories in which a position would stand
    position: bool = False
    maker_note: bool = False
    thumbnail: bytes = b""  # a JPEG file


def read_exif(tiff: bytes) -> ExifFacts:
    """Read a TIFF structure. Never raises; four directories at most are visited, and only within the block."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 8 or struct.unpack_from(order + "H", tiff, 2)[0] != 42:
        return ExifFacts(readable=False)
    first = _directory(tiff, struct.unpack_from(order + "I", tiff, 4)[0], order)
    exif = _directory(tiff, first.entries.get(_EXIF_POINTER, 0), order)
    place = _directory(tiff, first.entries.get(_GPS_POINTER, 0), order)
    second = _directory(tiff, first.following, order)
    return ExifFacts(
        # The directory of the position may be missing, or may be announced and lie elsewhere.
        readable=first.whole and (place.whole or _GPS_POINTER not in first.entries),
        position=not _POSITIONS.isdisjoint(place.entries),
        maker_note=_MAKER_NOTE in exif.entries,
        thumbnail=_thumbnail(tiff, second.entries),
    )


def _directory(tiff: bytes, at: int, order: str) -> _Directory:
    if at < 8 or at + 2 > len(tiff):
        return _NONE
    count = struct.unpack_from(order + "H", tiff, at)[0]
    entries: dict[int, int] = {}
    for start in range(at + 2, at + 2 + count * _ENTRY_BYTES, _ENTRY_BYTES):
        if start + _ENTRY_BYTES > len(tiff):
            return _Directory(entries, 0, whole=False)
        tag, kind = struct.unpack_from(order + "HH", tiff, start)
        # SHORT values sit in the first two of the four bytes.
        entries.setdefault(tag, struct.unpack_from(order + ("H" if kind == 3 else "I"), tiff, start + 8)[0])
    end = at + 2 + count * _ENTRY_BYTES
    following = struct.unpack_from(order + "I", tiff, end)[0] if end + 4 <= len(tiff) else 0
    return _Directory(entries, following, whole=True)


def _thumbnail(tiff: bytes, entries: dict[int, int]) -> bytes:
    start, size = entries.get(_THUMBNAIL_START, 0), entries.get(_THUMBNAIL_BYTES, 0)
    thumbnail = tiff[start : start + size]
    return thumbnail if thumbnail.startswith(b"\xff\xd8") else b""
