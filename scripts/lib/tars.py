"""Tar files with random access and without time, owner or order of arrival in their bytes.

Members are read in place by offset and never extracted, so a hostile name or link in a tar has nothing to act on.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO


@dataclass(frozen=True)
class Member:
    """A regular file in a tar: `size` bytes at `offset`."""

    name: str
    offset: int
    size: int


class TarWriter:
    """Writes a plain USTAR archive; equal members in equal order give equal bytes. Use as a context manager.

    The headers are `tarfile`'s; the bytes are written here, because `TarFile.addfile` makes each header twice and
    copies the content in small pieces (a fifth of the whole cost of `download`).
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = open(path, "wb")  # noqa: SIM115 (closed by __exit__)
        self._end = 0

    def add(self, name: str, content: bytes) -> Member:
        """Append a member and return where its bytes lie."""
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = len(content), 0o644, 0
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        header = info.tobuf(tarfile.USTAR_FORMAT)
        offset = self._end + len(header)
        self._write(header)
        self._write(content)
        self._write(bytes(-len(content) % tarfile.BLOCKSIZE))
        return Member(name, offset, len(content))

    def _write(self, content: bytes) -> None:
        self._file.write(content)
        self._end += len(content)

    def __enter__(self) -> TarWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if kind is None:
                end = self._end + 2 * tarfile.BLOCKSIZE
                self._write(bytes(2 * tarfile.BLOCKSIZE + -end % tarfile.RECORDSIZE))


def walk_tar(path: str | os.PathLike[str]) -> Iterator[tarfile.TarInfo]:
    """Yield the header of every entry of a tar in stored order: files, links, devices, folders. Holds one at a time.

    Raises:
        tarfile.TarError: it is compressed, damaged or cut short, or a second archive follows behind its end. The
            standard library takes a damaged header, or the place of a cut between two members, for the end.
    """
    with open(path, "rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
        while (info := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # it keeps all headers, a kilobyte each
            yield info
        _check_end(file, tar.offset)


def _check_end(file: BinaryIO, offset: int) -> None:
    file.seek(offset)
    if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError(f"there is no end mark at byte {offset}: it is cut short or damaged there")
    while block := file.read(tarfile.BLOCKSIZE):
        if block[257:262] == b"ustar":
            raise tarfile.ReadError(f"another archive follows at byte {file.tell() - len(block)}")


def list_members(path: str | os.PathLike[str]) -> Iterator[Member]:
    """Yield the regular files of a tar in stored order; links, devices and folders are passed over.

    Raises:
        tarfile.TarError: see `walk_tar`.
    """
    return (Member(info.name, info.offset_data, info.size) for info in walk_tar(path) if info.isreg())


class TarReader:
    """Reads members by offset; safe to use from several processes, because each read carries its own position."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._descriptor = -1
        self._descriptor = os.open(Path(path), os.O_RDONLY | os.O_CLOEXEC)

    def read(self, offset: int, size: int) -> bytes:
        """Return `size` bytes at `offset`.

        Raises:
            EOFError: the tar is shorter than its index says.
        """
        content = os.pread(self._descriptor, size, offset)
        if len(content) != size:
            raise EOFError(f"tar ends {size - len(content)} bytes before the member at {offset} does")
        return content

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> TarReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
