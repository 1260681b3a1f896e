"""Walks over JPEG files (ITU-T T.81, annex B)."""

from __future__ import annotations

import re
from collections import defaultdict

from scripts.lib.embedded.parts import MAX_PIECES, Parts, UnwalkableError

_SOI, _EOI, _SOS, _COM = 0xD8, 0xD9, 0xDA, 0xFE
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD8)}  # TEM and restarts; between segments they mean nothing
# Frames, tables, restart interval: what a decoder needs. Arithmetic and lossless frames too: to refuse is its affair.
_NEEDED = {*range(0xC0, 0xC8), *range(0xC9, 0xD0), 0xDB, 0xDC, 0xDD}
_APPLICATION = range(0xE0, 0xF0)
# In a scan 0xFF is followed by 0 (stuffed) or a restart; another 0xFF is filling. Anything else is a marker.
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_NOT_FILLING = re.compile(rb"[^\xff]")

_EXIF = b"Exif\x00"  # and a byte of padding
_XMP = b"http://ns.adobe.com/xap/1.0/\x00"
_MORE_XMP = b"http://ns.adobe.com/xmp/extension/\x00"
_PHOTOSHOP = b"Photoshop 3.0\x00"
_GUID_BYTES = 32


class _Blocks:
    """Metadata that is spread over several segments."""

    def __init__(self) -> None:
        self.exif: list[bytes] = []
        self.photoshop: list[bytes] = []
        self.more_xmp: dict[bytes, list[tuple[int, bytes]]] = defaultdict(list)

    def into(self, parts: Parts) -> None:
        # Pillow joins EXIF segments; some programs write two whole ones.
        if self.exif:
            parts.exif += [b"".join(self.exif), *self.exif[1:]]
        if self.photoshop:
            parts.photoshop.append(b"".join(self.photoshop))
        for pieces in self.more_xmp.values():
            parts.xmp.append(b"".join(piece for _, piece in sorted(pieces)))


def walk_jpeg(content: bytes) -> Parts:
    """Take a JPEG file apart.

    Kept: frames, tables and scans as they are; of the application segments before the first scan JFIF (without its
    thumbnail), Adobe (colour transform) and ICC profiles. All after the first end marker is a tail: further pictures
    (MPO), films, archives.

    Raises:
        UnwalkableError: no segment where one must be, an unknown marker, or no end marker.
    """
    parts, blocks = Parts(head=[b"\xff\xd8"]), _Blocks()
    at, scanned = 2, False
    for _ in range(MAX_PIECES):
        marker, start = _marker(content, at)
        if marker == _EOI:
            parts.tail.append(b"\xff\xd9")
            parts.trailing = len(content) - start
            blocks.into(parts)
            return parts
        if marker in _WITHOUT_LENGTH:
            at = start
            continue
        at = start + int.from_bytes(content[start : start + 2], "big")
        if at < start + 2 or at > len(content):
            raise UnwalkableError(f"the segment at byte {start - 2} does not end within the file")
        if marker in _NEEDED:
            parts.tail.append(content[start - 2 : at])
        elif marker == _SOS:
            found = _AFTER_SCAN.search(content, at)
            if found is None:
                raise UnwalkableError("no marker after the last scan")
            parts.tail += [content[start - 2 : at], content[at : found.start()].rstrip(b"\xff")]
            at, scanned = found.start(), True
        elif marker in _APPLICATION:
            kept = _application(marker, content[start + 2 : at], parts, blocks)
            if kept and not scanned:
                # JFIF comes first where it came first of what stays: some readers look for it nowhere else.
                first = marker == 0xE0 and len(parts.head) == 1 and not parts.tail
                (parts.head if first else parts.tail).append(_segment(marker, kept))
        elif marker != _COM:
            raise UnwalkableError(f"marker {marker:02x} at byte {start - 2} is none that JPEG photographs have")
    raise UnwalkableError(f"more than {MAX_PIECES} segments")


def _marker(content: bytes, at: int) -> tuple[int, int]:
    """Return the marker at `at`, whatever filling comes before it, and the place after it."""
    found = _NOT_FILLING.search(content, at)
    if found is None:
        raise UnwalkableError("no end marker")
    if found.start() == at:
        raise UnwalkableError(f"byte {at} is no marker")
    return content[found.start()], found.end()


def _segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body


def _application(marker: int, body: bytes, parts: Parts, blocks: _Blocks) -> bytes:
    """Sort an application segment; return what must stay of it, nothing where all can go."""
    if marker == 0xE0:
        if body.startswith(b"JFXX\x00\x10"):
            parts.previews.append(body[6:])
        # libjpeg knows a JFIF segment by 14 bytes; the last two are the size of a thumbnail that follows.
        return body[:12] + b"\x00\x00" if body.startswith(b"JFIF\x00") and len(body) >= 14 else b""
    if marker == 0xE1:
        _sort_app1(body, parts, blocks)
    elif marker == 0xE2 and body.startswith(b"ICC_PROFILE\x00"):
        return body
    elif marker == 0xED and body.startswith(_PHOTOSHOP):
        blocks.photoshop.append(body[len(_PHOTOSHOP) :])
    elif marker == 0xEE and body.startswith(b"Adobe") and len(body) >= 12:
        return body[:12]  # libjpeg reads no further
    return b""


def _sort_app1(body: bytes, parts: Parts, blocks: _Blocks) -> None:
    if body.startswith(_EXIF):
        blocks.exif.append(body[6:])
    elif body.startswith(_XMP):
        parts.xmp.append(body[len(_XMP) :])
    elif body.startswith(_MORE_XMP):
        # The packet's id, its length, the place of this piece in it, the piece.
        start = len(_MORE_XMP) + _GUID_BYTES
        place = int.from_bytes(body[start + 4 : start + 8], "big")
        blocks.more_xmp[body[len(_MORE_XMP) : start]].append((place, body[start + 8 :]))


def orientation_piece(tiff: bytes) -> bytes:
    """Return the segment that holds a TIFF structure as EXIF."""
    return _segment(0xE1, b"Exif\x00\x00" + tiff)


def assemble_jpeg(parts: Parts, tiff: bytes) -> bytes:
    """Return the file of the kept pieces and, when `tiff` is not empty, an EXIF segment of it."""
    return b"".join([*parts.head, orientation_piece(tiff) if tiff else b"", *parts.tail])
