"""Tars with random access."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from scripts.lib.tars import TarReader, TarWriter, list_members


def test_members_are_read_where_the_writer_said(tmp_path: Path) -> None:
    contents = {"a/1.jpg": b"one", "a/2.jpg": b"", "b" * 90 + "/" + "c" * 80: b"x" * 1000}
    with TarWriter(tmp_path / "x.tar") as writer:
        members = [writer.add(name, content) for name, content in contents.items()]
    assert list(list_members(tmp_path / "x.tar")) == members
    with TarReader(tmp_path / "x.tar") as reader:
        assert [reader.read(member.offset, member.size) for member in members] == list(contents.values())
        with pytest.raises(EOFError, match="before the member"):
            reader.read(members[-1].offset, 10**7)


def test_equal_members_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("1.tar", "2.tar"):
        with TarWriter(tmp_path / name) as writer:
            writer.add("x", b"content")
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()


def test_links_and_folders_are_passed_over(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
    assert list(list_members(tmp_path / "x.tar")) == []
