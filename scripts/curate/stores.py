"""Local places from which `download` takes photos: a tar, a folder, a generator. Nothing there is trusted either."""

from __future__ import annotations

import errno
import hashlib
import importlib
import os
import re
import stat
import tarfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from scripts.curate.content import check_content
from scripts.curate.settings import DownloadPolicy, FractalSource
from scripts.lib.errors import UserError
from scripts.lib.reasons import DownloadReason
from scripts.lib.tars import Member, TarReader, list_members

_FIELD = re.compile(r"\{([a-z_]*)(?::(\d+))?(?::(\d+))?\}")


@dataclass(frozen=True)
class Candidate:
    """What a store needs to know of a candidate row."""

    image_id: str
    source: str
    locator: str
    download_url: str

    @cached_property
    def key(self) -> str:
        """A name for all of it, 32 hexadecimal digits."""
        parts = (self.source, self.image_id, self.locator, self.download_url)
        return hashlib.sha256("\0".join(parts).encode("utf-8")).hexdigest()[:32]


@dataclass(frozen=True)
class Outcome:
    """What became of a candidate: its bytes (`reason` is ""), or why there are none."""

    reason: str
    detail: str = ""
    address: str = ""
    content: bytes = b""
    from_server: bool = False


class Store(Protocol):
    """A place that may have a candidate's bytes."""

    async def fetch(self, candidate: Candidate) -> Outcome:
        """Return the candidate's bytes or the reason why this store does not give them."""
        ...

    def close(self) -> None:
        """Give back open files."""
        ...


def checked(content: bytes, address: str, policy: DownloadPolicy, *, from_server: bool = False) -> Outcome:
    """Return the outcome of bytes that arrived whole."""
    reason, detail = check_content(content, policy)
    return Outcome(reason, detail, address, b"" if reason else content, from_server)


def fill_address(template: str, candidate: Candidate) -> str:
    """Return a store's address of a photo.

    `{key}` is the photo's key, `{key:3}` its first three digits, `{key:3:6}` the fourth to sixth; `{download_url}` the
    address in the metadata.

    Raises:
        UserError: the template names another field.
    """
    values = {"key": candidate.image_id, "download_url": candidate.download_url}

    def value(match: re.Match[str]) -> str:
        name, first, second = match.groups()
        if name not in values:
            raise UserError(
                f"the store address {template!r} has a field {{{name}}}; known are {{key}}, {{key:3}}, {{key:3:6}} and"
                " {download_url}. Correct curate.sources in the config."
            )
        if second is not None:
            return values[name][int(first) : int(second)]
        return values[name][: int(first)] if first is not None else values[name]

    return _FIELD.sub(value, template)


class TarStore:
    """Photos in one local tar, by the base name of the member without its extension. It is listed once."""

    def __init__(self, path: Path, policy: DownloadPolicy) -> None:
        _check_exists(path)
        self._policy = policy
        self._members: dict[str, Member] = {}
        try:
            for member in list_members(path):
                # The first of two members of one name counts, whatever comes after it.
                self._members.setdefault(PurePosixPath(member.name).stem, member)
        except (tarfile.TarError, OSError) as error:
            raise UserError(f"the local store {path} is not a plain tar that can be read: {error}") from None
        self._reader = TarReader(path)

    async def fetch(self, candidate: Candidate) -> Outcome:
        """Return the member `<image id>.jpg`."""
        member = self._members.get(candidate.image_id)
        if member is None:
            return Outcome(DownloadReason.NOT_FOUND, "no such member in the tar", f"tar:{candidate.image_id}.jpg")
        address = f"tar:{member.name}"
        if member.size > self._policy.max_bytes:
            return Outcome(DownloadReason.TOO_LARGE, f"{member.size} bytes", address)
        try:
            content = self._reader.read(member.offset, member.size)
        except EOFError:
            return Outcome(DownloadReason.INCOMPLETE, "the tar ends before the member does", address)
        return checked(content, address, self._policy)

    def close(self) -> None:
        """Close the tar."""
        self._reader.close()


class FolderStore:
    """Files under one folder: the Multimedia Commons layout by key, or a folder source's own relative paths."""

    def __init__(self, path: Path, policy: DownloadPolicy, *, by_key: bool) -> None:
        _check_exists(path)
        self._policy = policy
        self._by_key = by_key
        self._root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    async def fetch(self, candidate: Candidate) -> Outcome:
        """Return the file's bytes."""
        key = candidate.image_id
        path = f"{key[:3]}/{key[3:6]}/{key}.jpg" if self._by_key else candidate.locator
        address = f"folder:{path}"
        try:
            content = _read_below(self._root, path, self._policy.max_bytes)
        except _RefusedError as refused:
            return Outcome(refused.reason, str(refused), address)
        except OSError as error:
            return Outcome(_reason_of(error), os.strerror(error.errno or 0), address)
        return checked(content, address, self._policy)

    def close(self) -> None:
        """Close the folder."""
        os.close(self._root)


class FractalStore:
    """Images that are made when they are asked for."""

    def __init__(self, source: FractalSource, policy: DownloadPolicy) -> None:
        self._source = source
        self._policy = policy
        self._module: Any = importlib.import_module(f"scripts.curate.sources.{source.kind}")

    async def fetch(self, candidate: Candidate) -> Outcome:
        """Return the generated file."""
        content: bytes = self._module.make_image(self._source, candidate.locator)
        return checked(content, f"{self._source.kind}:{candidate.locator}", self._policy)

    def close(self) -> None:
        """Nothing is open."""


class _RefusedError(Exception):
    def __init__(self, reason: DownloadReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def _check_exists(path: Path) -> None:
    if not path.exists():
        raise UserError(
            f"the local store {path} is not there. Put it there, or name another path under curate.sources in the"
            " config (relative paths start at the working directory of the run)."
        )


def _reason_of(error: OSError) -> DownloadReason:
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
        return DownloadReason.NOT_FOUND
    return DownloadReason.DOWNLOAD_FAILED


def _read_below(root: int, path: str, max_bytes: int) -> bytes:
    """Read a regular file below an open folder, following no symbolic link on the way (it could lead out).

    A named pipe must not hang the job (O_NONBLOCK), and a device must not be read.

    Raises:
        _RefusedError: the path climbs out, the file is not regular, or larger than `max_bytes`.
        OSError: no such file, a link, no permission, a read error.
    """
    parts = path.split("/")
    if path.startswith("/") or "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise _RefusedError(DownloadReason.ADDRESS_REFUSED, "not a path below the folder")
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    opened: list[int] = []
    try:
        place = root
        for depth, part in enumerate(parts):
            folder = os.O_DIRECTORY if depth < len(parts) - 1 else 0
            if stat.S_ISLNK(os.stat(part, dir_fd=place, follow_symlinks=False).st_mode):
                raise _RefusedError(DownloadReason.ADDRESS_REFUSED, "a symbolic link")
            place = os.open(part, flags | folder, dir_fd=place)  # O_NOFOLLOW: not even if it became a link just now
            opened.append(place)
        status = os.fstat(place)
        if not stat.S_ISREG(status.st_mode):
            raise _RefusedError(DownloadReason.NOT_AN_IMAGE, "not a regular file")
        if status.st_size > max_bytes:
            raise _RefusedError(DownloadReason.TOO_LARGE, f"{status.st_size} bytes")
        with os.fdopen(os.dup(place), "rb") as handle:
            content = handle.read(max_bytes + 1)
    finally:
        for descriptor in opened:
            os.close(descriptor)
    if len(content) > max_bytes:
        raise _RefusedError(DownloadReason.TOO_LARGE, f"more than {max_bytes} bytes")
    return content
