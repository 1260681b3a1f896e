"""Where lines begin and end: in compressed text, in chunks, in lines without an end."""

from __future__ import annotations

import bz2
import gzip
import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from scripts.curate.sources import lines, yfcc100m
from scripts.lib.errors import UserError
from tests.curate.made_yfcc import YFCC, line, read


def lines_in(path: Path) -> list[bytes | None]:
    return list(lines.lines_of(lines.read_blocks(path, "it", 1, lines.Position())))


def compressed_by_zstd_in_two_frames(content: bytes) -> bytes:
    half = len(content) // 2
    return zstandard.compress(content[:half]) + zstandard.compress(content[half:])


@pytest.mark.parametrize(
    "pack", [bytes, gzip.compress, bz2.compress, zstandard.compress, compressed_by_zstd_in_two_frames]
)
def test_compressed_text_is_known_by_its_bytes_not_its_name(tmp_path: Path, pack: Callable[[bytes], bytes]):
    path = tmp_path / "metadata"
    path.write_bytes(pack(b"\n".join(line(photoid=str(number)) for number in range(1, 500)) + b"\n"))
    assert [row.photo_id for row in read(path)] == [str(number) for number in range(1, 500)]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, zstandard.compress])
def test_compressed_text_that_ends_early_is_an_error_not_a_shorter_file(
    tmp_path: Path, pack: Callable[[bytes], bytes], threads: int
):
    path = tmp_path / "metadata"
    content = pack(b"\n".join(line(photoid=str(number), title=os.urandom(40).hex()) for number in range(5000)))
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"damaged or incomplete.*Bring it again"):
        list(yfcc100m.read_batches(YFCC, "yfcc-000", path, ("CC-BY-2.0",), threads))


@pytest.mark.parametrize("block", [1, 500, 10_000])
def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int):
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 1000)
    monkeypatch.setattr(lines, "CHUNK_BYTES", 300)
    monkeypatch.setattr(lines, "BLOCK_BYTES", block)
    path = tmp_path / "metadata"
    path.write_bytes(b"ab\n" + b"x" * 5000 + b"\nlast\n" + b"y" * 1000 + b"\n" + b"z" * 2000)
    assert lines_in(path) == [b"ab", None, b"last", b"y" * 1000, None]


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("block", [1, 4, 1000])
def test_lines_do_not_depend_on_where_chunks_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, block: int
):
    monkeypatch.setattr(lines, "CHUNK_BYTES", chunk)
    monkeypatch.setattr(lines, "BLOCK_BYTES", block)
    content = b"one\n\ntwo\r\n\n\nthree \xff\n"
    (tmp_path / "text").write_bytes(content)
    assert lines_in(tmp_path / "text") == [part.rstrip(b"\n") for part in io.BytesIO(content)]
