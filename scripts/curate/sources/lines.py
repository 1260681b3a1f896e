"""Lines of a text file as bytes, plain or compressed; what the compression is, is read from the first bytes."""

from __future__ import annotations

import bz2
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

import zstandard

from scripts.lib.errors import UserError

CHUNK_BYTES = 1 << 20
MAX_LINE_BYTES = 16 << 20  # a longer line is not metadata; it must not fill the memory


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as handle:
        return handle.read(16)


def is_sqlite(path: Path) -> bool:
    """Return whether the file is an SQLite database."""
    return _first_bytes(path) == b"SQLite format 3\0"


def read_lines(path: Path, where: str) -> Iterator[bytes | None]:
    """Yield each line without its line feed; None for one of more than `MAX_LINE_BYTES`.

    Args:
        path: plain text, or gzip, bzip2 or zstd, also of several streams one after the other.
        where: the file in words, for error texts.

    Raises:
        UserError: compressed data are damaged or end early.
    """
    rest: list[bytes] = []  # pieces of the line that the last chunk left open
    length = 0
    try:
        for chunk in _chunks(path):
            head, *lines = chunk.split(b"\n")
            length += len(head)
            if length <= MAX_LINE_BYTES:
                rest.append(head)
            else:
                rest.clear()
            if lines:
                yield b"".join(rest) if length <= MAX_LINE_BYTES else None
                *whole, last = lines
                yield from whole
                rest, length = [last], len(last)
    except (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError, ValueError) as error:
        raise UserError(f"{where} is damaged or incomplete: {error}. Bring it again and compare its size.") from None
    except OSError as error:
        raise UserError(f"{where} cannot be read: {error}.") from None
    if length:
        yield b"".join(rest) if length <= MAX_LINE_BYTES else None


def _chunks(path: Path) -> Iterator[bytes]:
    magic = _first_bytes(path)
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        yield from _zstd_chunks(path)
        return
    opener = gzip.open if magic.startswith(b"\x1f\x8b") else bz2.open if magic.startswith(b"BZh") else open
    with opener(path, "rb") as handle:
        while chunk := handle.read(CHUNK_BYTES):
            yield chunk


def _zstd_chunks(path: Path) -> Iterator[bytes]:
    """Yield the content of one or more zstd frames; zstandard's own file reader is silent about a missing end."""
    frame = zstandard.ZstdDecompressor().decompressobj()
    open_frame = True
    with path.open("rb") as handle:
        # Small pieces, because each is expanded at once: a piece of 8 KiB bounds what a bomb can do to the memory.
        while piece := handle.read(8192):
            while piece:
                if not open_frame:
                    frame, open_frame = zstandard.ZstdDecompressor().decompressobj(), True
                if chunk := frame.decompress(piece):
                    yield chunk
                piece = frame.unused_data if frame.eof else b""
                open_frame = not frame.eof
    if open_frame:
        raise EOFError("the zstd data end early")
