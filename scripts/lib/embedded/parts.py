"""What a walk over a file finds: the pieces that are needed to decode the picture, and the blocks beside them."""

from __future__ import annotations

from dataclasses import dataclass, field

MAX_PIECES = 100_000  # segments or chunks; photographs have some hundred, and the walk must end
MAX_INFLATED_BYTES = 1 << 24  # of all compressed text together

# TIFF, big-endian: one directory with one entry, tag 0x0112 (orientation), type SHORT, count 1, and no next directory.
_TIFF_HEAD = b"MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01"


class UnwalkableError(ValueError):
    """The container is damaged: its segments or chunks cannot be told apart up to the end marker."""


@dataclass
class Parts:
    """A file taken apart. `head` and `tail` are the pieces to keep; a note of the orientation goes between them."""

    head: list[bytes] = field(default_factory=list)
    tail: list[bytes] = field(default_factory=list)
    exif: list[bytes] = field(default_factory=list)  # TIFF structures
    xmp: list[bytes] = field(default_factory=list)  # packets
    photoshop: list[bytes] = field(default_factory=list)  # image resource blocks
    previews: list[bytes] = field(default_factory=list)  # JPEG files within
    unread: bool = False  # a block of metadata was damaged or beyond the limits
    trailing: int = 0  # bytes after the end of the picture

    @property
    def may_turn(self) -> bool:
        """Return whether anything is there that could hold an orientation."""
        return bool(self.exif or self.xmp or self.unread)


def orientation_tiff(orientation: int) -> bytes:
    """Return the smallest TIFF structure that holds an orientation and nothing else."""
    return _TIFF_HEAD + orientation.to_bytes(2, "big") + bytes(6)
