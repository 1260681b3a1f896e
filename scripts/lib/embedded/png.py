"""Walks over PNG files (W3C PNG, third edition)."""

from __future__ import annotations

import struct
import zlib

from scripts.lib.embedded.parts import MAX_INFLATED_BYTES, MAX_PIECES, Parts, UnwalkableError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# The picture, transparency, and what its numbers mean as colours. Not: time, text, physical size, animation, strangers.
_NEEDED = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"mDCV", b"cLLI"}
_XMP_KEYWORD = b"XML:com.adobe.xmp"
_PROFILE_KEYWORD = b"Raw profile type "  # ImageMagick: hexadecimal text
_APP1_XMP = b"http://ns.adobe.com/xap/1.0/\x00"


def walk_png(content: bytes) -> Parts:
    """Take a PNG file apart.

    Kept: the chunks of the picture, with their checksums. All after the first IEND is a tail.

    Raises:
        UnwalkableError: a chunk does not end within the file, or there is no IEND.
    """
    parts, at, room = Parts(head=[SIGNATURE]), len(SIGNATURE), MAX_INFLATED_BYTES
    for _ in range(MAX_PIECES):
        if at + 12 > len(content):
            raise UnwalkableError("the file ends before its IEND")
        length, kind = struct.unpack_from(">I4s", content, at)
        start, end = at, at + 12 + length
        if end > len(content):
            raise UnwalkableError(f"the chunk at byte {start} does not end within the file")
        at = end
        if kind in _NEEDED:
            first = kind == b"IHDR" and len(parts.head) == 1
            (parts.head if first else parts.tail).append(content[start:end])
        if kind == b"IEND":
            parts.trailing = len(content) - end
            return parts
        body = content[start + 8 : end - 4]
        if kind == b"eXIf":
            parts.exif.append(body.removeprefix(b"Exif\x00\x00"))
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            room -= _sort_text(kind, body, parts, room)
    raise UnwalkableError(f"more than {MAX_PIECES} chunks")


def _sort_text(kind: bytes, body: bytes, parts: Parts, room: int) -> int:
    """Keep the XMP packet or raw profile of a text chunk; return how many bytes were inflated for it."""
    keyword, _, rest = body.partition(b"\x00")
    if keyword != _XMP_KEYWORD and not keyword.startswith(_PROFILE_KEYWORD):
        return 0
    packed = kind == b"zTXt"
    if kind == b"zTXt":
        rest = rest[1:]  # method: deflate is the only one
    elif kind == b"iTXt":
        packed = rest[:1] == b"\x01"
        rest = rest[2:].partition(b"\x00")[2].partition(b"\x00")[2]  # language, keyword in it
    text = _inflate(rest, room) if packed else rest
    if text is None:
        parts.unread = True
        return room
    if keyword == _XMP_KEYWORD:
        parts.xmp.append(text)
    else:
        _sort_profile(keyword.removeprefix(_PROFILE_KEYWORD), text, parts)
    return len(text) if packed else 0


def _inflate(packed: bytes, room: int) -> bytes | None:
    """Return inflated text, None when it is damaged or longer than `room` bytes."""
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(packed, room + 1)
    except zlib.error:
        return None
    return text if inflater.eof and len(text) <= room else None


def _sort_profile(name: bytes, text: bytes, parts: Parts) -> None:
    """Sort a raw profile: an empty line, its name, its length, hexadecimal digits."""
    try:
        data = bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode("ascii"))
    except ValueError:
        parts.unread = True
        return
    if data.startswith(_APP1_XMP) or name == b"xmp":
        parts.xmp.append(data.removeprefix(_APP1_XMP))
    elif name.lower() in (b"exif", b"app1"):
        parts.exif.append(data.removeprefix(b"Exif\x00\x00"))
    else:
        parts.photoshop.append(data.removeprefix(b"Photoshop 3.0\x00"))


def assemble_png(parts: Parts, tiff: bytes) -> bytes:
    """Return the file of the kept chunks and, when `tiff` is not empty, an eXIf chunk of it after the header."""
    named = b"eXIf" + tiff
    exif = struct.pack(">I", len(tiff)) + named + struct.pack(">I", zlib.crc32(named))
    return b"".join([*parts.head, exif if tiff else b"", *parts.tail])
