"""Walks over WebP files (RFC 9649)."""

from __future__ import annotations

from collections.abc import Iterator

from scripts.lib.embedded.parts import MAX_PIECES, Parts, UnwalkableError

_PICTURE = {b"VP8 ", b"VP8L", b"ALPH"}
_NEEDED = {*_PICTURE, b"VP8X", b"ICCP", b"ANIM", b"ANMF"}
_ICC, _ALPHA, _EXIF, _ANIMATION = 0x20, 0x10, 0x08, 0x02  # flags of VP8X; 0x04 is XMP
_FRAME_HEAD = 16  # bytes of an ANMF chunk before its own chunks


def walk_webp(content: bytes) -> Parts:
    """Take a WebP file apart. `head` is empty and `tail` holds the kept chunks, the first of them VP8X where it was.

    Raises:
        UnwalkableError: a chunk does not end within the file, or there is no picture.
    """
    end = 8 + int.from_bytes(content[4:8], "little")
    if end > len(content):
        raise UnwalkableError("the file is shorter than its header says")
    parts = Parts(trailing=len(content) - end)
    for kind, body in _chunks(content, 12, end):
        if kind == b"EXIF":
            parts.exif.append(body.removeprefix(b"Exif\x00\x00"))
        elif kind == b"XMP ":
            parts.xmp.append(body)
        elif kind == b"ANMF":
            inner = [_chunk(*each) for each in _chunks(body, _FRAME_HEAD, len(body)) if each[0] in _PICTURE]
            parts.tail.append(_chunk(kind, b"".join([body[:_FRAME_HEAD], *inner])))
        elif kind in _NEEDED:
            parts.tail.append(_chunk(kind, body))
            if len(parts.tail) == 1 and kind in _PICTURE:
                break  # the simple layout: the rest of the file means nothing to a decoder
    if not any(piece[:4] in (b"VP8 ", b"VP8L", b"ANMF") for piece in parts.tail):
        raise UnwalkableError("no chunk holds a picture")
    return parts


def _chunks(content: bytes, at: int, end: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and body of each chunk. A last byte of padding may be missing: libwebp reads such files."""
    for _ in range(MAX_PIECES):
        if at >= end:
            return
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        if at + 8 + size > end:
            raise UnwalkableError(f"the chunk at byte {at} does not end within the file")
        yield content[at : at + 4], content[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    raise UnwalkableError(f"more than {MAX_PIECES} chunks")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return kind + len(body).to_bytes(4, "little") + body + b"\x00" * (len(body) % 2)


def assemble_webp(parts: Parts, tiff: bytes) -> bytes:
    """Return the file of the kept chunks and, when `tiff` is not empty, an EXIF chunk of it; the flags say so."""
    chunks = list(parts.tail)
    if chunks[0][:4] == b"VP8X":
        names = {chunk[:4] for chunk in chunks}
        flags = chunks[0][8] & (_ALPHA | _ANIMATION)
        flags |= (_ICC if b"ICCP" in names else 0) | (_EXIF if tiff else 0)
        chunks[0] = chunks[0][:8] + bytes((flags, 0, 0, 0)) + chunks[0][12:]
        if tiff:
            chunks.append(_chunk(b"EXIF", tiff))
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + len(body).to_bytes(4, "little") + body
