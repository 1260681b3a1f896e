"""Finds the blocks within Photoshop's image resources that give something away (Adobe's file formats specification)."""

from __future__ import annotations

from collections.abc import Iterator

THUMBNAIL, EXIF, XMP = 0x040C, 0x0422, 0x0424
_THUMBNAIL_HEAD = 28  # bytes before the JPEG file


def image_resources(block: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield number and content of each resource, up to the first that is damaged."""
    at = 0
    while block[at : at + 4] == b"8BIM" and at + 7 <= len(block):
        number = int.from_bytes(block[at + 4 : at + 6], "big")
        name = 1 + block[at + 6]
        at += 6 + name + name % 2
        size = int.from_bytes(block[at : at + 4], "big")
        if len(block) < at + 4 + size:
            return
        content = block[at + 4 : at + 4 + size]
        yield number, content[_THUMBNAIL_HEAD:] if number == THUMBNAIL else content
        at += 4 + size + size % 2
