"""Lines of a text file as bytes, plain or compressed; what the compression is, is read from the first bytes."""

from __future__ import annotations

import gzip
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import zstandard

from scripts.curate.sources.bzip2 import DamagedError, read_bzip2
from scripts.lib.errors import UserError

CHUNK_BYTES = 1 << 20  # most bytes of a piece that decompression gives; never more than a line may have
BLOCK_BYTES = 16 << 20  # lines that are handed on together
MAX_LINE_BYTES = 16 << 20  # a longer line is not metadata; it must not fill the memory
AHEAD = 4  # pieces that wait between the thread that decompresses and the one that reads


@dataclass(slots=True)
class Position:
    """How far a file is read."""

    done: int = 0  # bytes of the file, compressed as it is

    def tell(self, done: int) -> None:
        """Note how many bytes are read."""
        self.done = done


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as handle:
        return handle.read(16)


def is_sqlite(path: Path) -> bool:
    """Return whether the file is an SQLite database."""
    return _first_bytes(path) == b"SQLite format 3\0"


def lines_of(blocks: Iterable[bytes | None]) -> Iterator[bytes | None]:
    """Yield each line of blocks without its line feed; None is passed on."""
    for block in blocks:
        if block is None:
            yield None
        else:
            yield from block.removesuffix(b"\n").split(b"\n")


def read_blocks(path: Path, where: str, threads: int, position: Position) -> Iterator[bytes | None]:
    """Yield whole lines, some MB of them together, and None for each line of more than `MAX_LINE_BYTES`.

    Args:
        path: plain text, or gzip, bzip2 or zstd, also of several streams one after the other.
        where: the file in words, for error texts.
        threads: that decompress.
        position: is kept up to date.

    Raises:
        UserError: compressed data are damaged or end early. It may come after the last block.
    """
    whole: list[bytes] = []  # pieces of whole lines
    rest: list[bytes] = []  # pieces of the line that the last piece left open
    length = 0
    size = 0
    try:
        for piece in _pieces(path, threads, position.tell):
            start = piece.find(b"\n") + 1
            if start == 0:
                length += len(piece)
                rest = [*rest, piece] if length <= MAX_LINE_BYTES else []
                continue
            if length + start - 1 <= MAX_LINE_BYTES:
                whole += rest
                size += length
                start = 0
            else:
                if content := b"".join(whole):
                    yield content
                yield None
                whole, size = [], 0
            end = piece.rfind(b"\n") + 1
            whole.append(piece[start:end])
            size += end - start
            rest, length = [piece[end:]], len(piece) - end
            if size >= BLOCK_BYTES:
                yield b"".join(whole)
                whole, size = [], 0
    except (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError, DamagedError) as error:
        raise UserError(f"{where} is damaged or incomplete: {error}. Bring it again and compare its size.") from None
    except OSError as error:
        raise UserError(f"{where} cannot be read: {error}.") from None
    if length <= MAX_LINE_BYTES:
        whole += rest
    if content := b"".join(whole):
        yield content
    if length > MAX_LINE_BYTES:
        yield None


def _pieces(path: Path, threads: int, tell: Callable[[int], None]) -> Iterator[bytes]:
    """Yield the content of a file in pieces of at most CHUNK_BYTES."""
    magic = _first_bytes(path)
    if magic.startswith(b"BZh"):
        yield from read_bzip2(path, threads, CHUNK_BYTES, tell)
    elif magic.startswith(b"\x1f\x8b"):
        # Not rapidgzip, which takes half a gzip file for a whole one (docs/decisions.md#40).
        yield from _read_ahead(_gzip_pieces(path, tell), threads)
    elif magic.startswith(b"\x28\xb5\x2f\xfd"):
        yield from _read_ahead(_zstd_pieces(path, tell), threads)
    else:
        with path.open("rb") as handle:
            while piece := handle.read(CHUNK_BYTES):
                tell(handle.tell())
                yield piece


def _gzip_pieces(path: Path, tell: Callable[[int], None]) -> Iterator[bytes]:
    with path.open("rb") as file, gzip.open(file) as handle:
        while piece := handle.read(CHUNK_BYTES):
            tell(file.tell())
            yield piece


def _zstd_pieces(path: Path, tell: Callable[[int], None]) -> Iterator[bytes]:
    """Yield the content of one or more zstd frames; zstandard's own file reader is silent about a missing end."""
    frame = zstandard.ZstdDecompressor().decompressobj()
    open_frame = True
    with path.open("rb") as handle:
        # Small pieces, because each is expanded at once: a piece of 8 KiB bounds what a bomb can do to the memory.
        while piece := handle.read(8192):
            tell(handle.tell())
            while piece:
                if not open_frame:
                    frame, open_frame = zstandard.ZstdDecompressor().decompressobj(), True
                content = frame.decompress(piece)
                for start in range(0, len(content), CHUNK_BYTES):
                    yield content[start : start + CHUNK_BYTES]
                piece = frame.unused_data if frame.eof else b""
                open_frame = not frame.eof
    if open_frame:
        raise EOFError("the zstd data end early")


def _read_ahead(pieces: Iterator[bytes], threads: int) -> Iterator[bytes]:
    """Yield the pieces; with two threads and more, the next are made in a thread while these are used."""
    if threads < 2:
        yield from pieces
        return
    with ThreadPoolExecutor(max_workers=1) as pool:
        made = deque(pool.submit(next, pieces, None) for _ in range(AHEAD))
        while (piece := made.popleft().result()) is not None:
            made.append(pool.submit(next, pieces, None))
            yield piece
