"""bzip2: several streams, any number of threads, and no damage that goes unseen."""

from __future__ import annotations

import bz2
import random
from itertools import pairwise
from pathlib import Path

import pytest

from scripts.curate.sources.bzip2 import DamagedError, check_chain, read_bzip2

DRAW = random.Random(0)
CONTENT = b"".join(DRAW.randbytes(6).hex().encode() + b"\n" for _ in range(40_000))  # 520 kB, six blocks
ONE = bz2.compress(CONTENT, 1)
CUTS = [0, 100_000, 350_000, 350_000, len(CONTENT)]  # the third stream is empty
STREAMS = [bz2.compress(CONTENT[start:stop], 1) for start, stop in pairwise(CUTS)]
STARTS = [sum(map(len, STREAMS[:index])) for index in range(len(STREAMS))]
MANY = b"".join(STREAMS)


def read(path: Path, content: bytes, threads: int) -> bytes:
    path.write_bytes(content)
    told: list[int] = []
    pieces = list(read_bzip2(path, threads, 50_000, told.append))
    assert told == sorted(told) and told[-1:] <= [len(content)]
    assert max(map(len, pieces), default=0) <= 50_000
    return b"".join(pieces)


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("content", [ONE, MANY, bz2.compress(b"") + ONE, ONE + bz2.compress(b"")])
def test_all_streams_are_read(tmp_path: Path, content: bytes, threads: int):
    assert read(tmp_path / "file", content, threads) == CONTENT


@pytest.mark.parametrize("threads", [1, 2])
def test_nothing_but_empty_streams(tmp_path: Path, threads: int):
    assert read(tmp_path / "file", bz2.compress(b"") * 2, threads) == b""


def damages(seed: int) -> bytes:
    """Return a file with one damage: a flipped bit, a cut, bytes left out, doubled or added."""
    draw = random.Random(seed)
    whole = draw.choice([ONE, MANY])
    starts = STARTS if whole is MANY else [0]
    near = draw.choice([*starts, len(whole)]) + draw.randrange(-12, 16)  # headers and end marks
    at = min(max(near if draw.random() < 0.6 else draw.randrange(len(whole)), 0), len(whole) - 1)
    length = draw.choice([1, 4, 10, 5000])
    damaged = bytearray(whole)
    kind = draw.choice(["flip", "flip", "cut", "drop", "double", "add"])
    if kind == "flip":
        damaged[at] ^= 1 << draw.randrange(8)
    elif kind == "cut":
        damaged = damaged[: max(at, 10)]
    elif kind == "drop":
        del damaged[at : at + length]
    elif kind == "double":
        damaged[at:at] = damaged[at : at + length]
    else:
        damaged += bytes(length) if draw.random() < 0.5 else draw.randbytes(length)
    return bytes(damaged)


def check_damage(path: Path, seed: int) -> str:
    """Return how the reading of a damaged file ended, which must not depend on the threads."""
    content = damages(seed)
    if not content.startswith(b"BZh"):
        return "not bzip2"
    ends = set()
    for threads in (1, 2, 4):
        try:
            found = read(path, content, threads)
        except DamagedError:
            ends.add("error")
        else:
            # Harmless: a bit that pads the last byte. Or whole streams are missing at the end: nothing can tell.
            assert found == CONTENT or content in {b"".join(STREAMS[:count]) for count in range(1, 4)}, seed
            assert found == bz2.decompress(content)
            ends.add("sound")
    assert len(ends) == 1, (seed, ends)
    return ends.pop()


def test_no_damage_goes_unseen(tmp_path: Path):
    ends = [check_damage(tmp_path / "file", seed) for seed in range(25)]
    assert ends.count("error") > 15


@pytest.mark.slow
def test_no_damage_goes_unseen_in_many_files(tmp_path: Path):
    ends = [check_damage(tmp_path / "file", seed) for seed in range(25, 700)]
    assert ends.count("error") > 500


def test_a_damaged_header_is_found_where_the_library_passes_over_it(tmp_path: Path):
    """The reason for check_chain: when this no longer raises, rapidgzip has changed."""
    damaged = bytearray(MANY)
    damaged[STARTS[1] + 6] ^= 1  # in the mark of the second stream's first block
    with pytest.raises(DamagedError):
        read(tmp_path / "file", bytes(damaged), 2)


def test_the_chain_of_blocks():
    one, two = bz2.compress(b"one"), bz2.compress(b"two")
    data, first, second = one + two, 32, 8 * len(one) + 32
    bits = f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}"
    ends = [index for index in range(len(bits)) if bits.startswith(f"{0x177245385090:048b}", index)]
    check_chain(data, sorted([first, second, *ends]))
    for wrong, error in [
        (data + b"\0", f"byte {len(data)} should begin a bzip2 stream"),
        (data[: len(one) - 3], "byte 0 has another checksum"),
        (data.replace(b"BZh9", b"BZh0"), "byte 0 should begin"),
        (data[:-3] + b"abc", f"begins at byte {len(one)} has another checksum"),
    ]:
        with pytest.raises(DamagedError, match=error):
            check_chain(wrong, sorted([first, second, *ends]))
    with pytest.raises(DamagedError, match=f"block at byte {second // 8} was passed over"):
        check_chain(data, [first, ends[0]])
