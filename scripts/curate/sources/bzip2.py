"""bzip2 decompressed by several threads, with proof that no block was left out.

`rapidgzip` decodes the blocks of a file in parallel, also those of a single stream, and checks each block's CRC. But
with two threads and more it passes over a block whose header is damaged, and over the rest of a file after a damaged
stream header, without a word (0.16.1; docs/decisions.md#40). So when all is read, the chain is walked here: stream
header, blocks, end mark, next header, to the last byte, and the CRC of each stream must be that of its decoded blocks.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import rapidgzip

_BLOCK, _END = 0x314159265359, 0x177245385090  # 48 bits before a block and before a stream's CRC
# What Cython makes of C++ exceptions that are no OSError; which of them a damaged file raises depends on the damage.
_ERRORS = (RuntimeError, ValueError, TypeError, IndexError, ArithmeticError)


class DamagedError(Exception):
    """The compressed data are not those that were written."""


def read_bzip2(path: Path, threads: int, piece_bytes: int, tell: Callable[[int], None]) -> Iterator[bytes]:
    """Yield the content of all streams of a file.

    Args:
        path: the file.
        threads: that decode blocks.
        piece_bytes: most bytes of a piece.
        tell: is told how many bytes of the file are read.

    Raises:
        DamagedError: anything but whole streams one after the other to the last byte, each with the right CRC. It may
            come after the last piece, so nothing of the file is good before this iterator has ended.
    """
    count = 0
    with rapidgzip.IndexedBzip2File(str(path), parallelization=threads) as reader:
        blocks = reader.raw.bz2reader
        try:
            while piece := reader.read(piece_bytes):
                count += len(piece)
                tell(blocks.tell_compressed() // 8)
                yield piece
            offsets = dict(blocks.block_offsets())
        except _ERRORS as error:
            known = str(error) not in ("", "std::exception")
            raise DamagedError(f"the bzip2 data end early or are damaged{f': {error}' if known else ''}") from None
    if count != max(offsets.values(), default=0):
        raise DamagedError("the bzip2 blocks do not add up to what was read")
    with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        check_chain(data, sorted(offsets))


def check_chain(data: mmap.mmap | bytes, decoded: list[int]) -> None:
    """Check that a file is whole streams of exactly the decoded blocks.

    Args:
        data: the file.
        decoded: bit offsets of the blocks decoded, ascending; end marks may be among them.

    Raises:
        DamagedError: it is not.
    """
    following = dict(pairwise(decoded))
    at = 0
    while at < len(data):
        if not (data[at : at + 3] == b"BZh" and data[at + 3 : at + 4] in b"123456789"):
            raise DamagedError(f"byte {at} should begin a bzip2 stream, and does not")
        bit, crc = 8 * at + 32, 0
        while _bits(data, bit, 48) == _BLOCK:
            if bit not in following:
                raise DamagedError(f"the bzip2 block at byte {bit // 8} was passed over")
            crc = ((crc << 1 | crc >> 31) & 0xFFFFFFFF) ^ _bits(data, bit + 48, 32)
            bit = following[bit]
        end = (bit + 80 + 7) // 8
        if _bits(data, bit, 48) != _END or _bits(data, bit + 48, 32) != crc or end > len(data):
            raise DamagedError(f"the bzip2 stream that begins at byte {at} has another checksum, or a damaged block")
        at = end


def _bits(data: mmap.mmap | bytes, start: int, count: int) -> int:
    """Return `count` bits from bit `start` as a number; beyond the end there are zeros."""
    first, end = start // 8, (start + count + 7) // 8
    value = int.from_bytes(data[first:end].ljust(end - first, b"\0"), "big")
    return value >> (8 * end - start - count) & ((1 << count) - 1)
