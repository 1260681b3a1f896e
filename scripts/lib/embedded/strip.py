"""Writes an image file without what it carries besides the picture, and without decoding or encoding the picture.

What stays is what a decoder needs for the same pixels, what says how to show them (colour profile, colour space, pixel
aspect) and, when the picture is to be turned, an EXIF block that says so and nothing else. Everything else goes: EXIF,
XMP, IPTC, comments, texts, maker notes, previews, thumbnails, further pictures, and all bytes after the end.
"""

from __future__ import annotations

from collections.abc import Callable

from scripts.lib.embedded.jpeg import assemble_jpeg, walk_jpeg
from scripts.lib.embedded.parts import Parts, UnwalkableError, orientation_tiff
from scripts.lib.embedded.png import assemble_png, walk_png
from scripts.lib.embedded.webp import assemble_webp, walk_webp
from scripts.lib.images import open_image, orientation_of, sniff_format

_WALKS: dict[str, Callable[[bytes], Parts]] = {"JPEG": walk_jpeg, "PNG": walk_png, "WEBP": walk_webp}
_ASSEMBLES: dict[str, Callable[[Parts, bytes], bytes]] = {
    "JPEG": assemble_jpeg,
    "PNG": assemble_png,
    "WEBP": assemble_webp,
}


def take_apart(content: bytes) -> Parts:
    """Return the pieces of an image file.

    Raises:
        UnwalkableError: it is not of our formats, or damaged.
    """
    kind = sniff_format(content)
    if kind is None:
        raise UnwalkableError("not JPEG, PNG or WebP")
    return _WALKS[kind](content)


def strip_metadata(content: bytes) -> bytes:
    """Return an image file without its metadata; `decode_image` gives the same pixels. Stripping twice changes nothing.

    Raises:
        UnwalkableError: the container is damaged. That of no image which passed `inspect_images` is.
        OSError, SyntaxError, ValueError: a PNG's picture is damaged; likewise.
    """
    parts = take_apart(content)
    kind = sniff_format(content)
    assert kind is not None
    orientation = 1
    if parts.may_turn:
        # Pillow's reading is asked, because the decode policy turns by it.
        image = open_image(content)
        if kind == "PNG":
            image.load()
        orientation = orientation_of(image)
    return _ASSEMBLES[kind](parts, orientation_tiff(orientation) if orientation != 1 else b"")
