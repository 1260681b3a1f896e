"""What an image set consists of: every file, in a fixed order, before any is read.

Tars are read in place and never unpacked, so a hostile name or link in one has nothing to act on; it is a row with a
reason.
"""

from __future__ import annotations

import errno
import os
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from scripts.lib.errors import UserError
from scripts.lib.identity import derived_id
from scripts.lib.reasons import ImageSetReason
from scripts.lib.tars import walk_tar
from scripts.pretrain.settings_images import FolderImages, ImageSet, TarImages

UNREACHABLE = (errno.ENOENT, errno.ELOOP, errno.EACCES)  # other errors are the disk's, and end the step


@dataclass(frozen=True)
class Place:
    """Where one file of a set lies; with a `reason` it is not looked at further."""

    container: str  # relative to the set's folder
    member: str  # name in the tar; "" in a folder
    offset: int
    size: int
    reason: str = ""
    detail: str = ""

    @property
    def image_id(self) -> str:
        """Return the id: two tars may hold members of one name, so the tar counts, and the set's folder does not."""
        return derived_id(self.container, self.member)


def list_places(images: ImageSet, root: Path) -> Iterator[Place]:
    """Yield every file of a set: of a folder sorted by name, of tars in the order of the config and as stored.

    Raises:
        UserError: the folder or a tar is missing, or a tar is compressed, damaged or cut short.
    """
    check_root(images.name, root)
    return _in_tars(images, root) if isinstance(images, TarImages) else _in_folder(root)


def check_root(name: str, root: Path) -> None:
    """Refuse a set whose folder is not there.

    Raises:
        UserError: says which key of the config names it.
    """
    if not root.is_dir():
        raise UserError(
            f"the images of the set {name} are missing: there is no folder {root} (key `path` of that entry of "
            "pretrain.image_sets). Put them there, or correct the key"
        )


def amount(images: ImageSet, root: Path) -> int:
    """Return how much there is to read: bytes of tars, or the number of files of a folder."""
    if isinstance(images, FolderImages):
        return sum(1 for _ in _walk(root))
    return sum((root / name).stat().st_size for name in images.files if (root / name).is_file())


def _in_tars(images: TarImages, root: Path) -> Iterator[Place]:
    for missing in (name for name in images.files if not (root / name).is_file()):
        raise UserError(
            f"the image set {images.name} lacks {root / missing} (keys `path` and `files` of that entry of "
            "pretrain.image_sets). Put the tar there, or correct the keys"
        )
    for name in images.files:
        seen: set[str] = set()
        try:
            for info in walk_tar(root / name):
                if not info.isdir():
                    yield _member(name, info, seen)
        except tarfile.TarError as error:
            raise UserError(
                f"{root / name} of the image set {images.name} cannot be read as a tar ({error}). Expected is a whole, "
                "plain tar: fetch it again, or decompress it (gunzip, zstd -d)"
            ) from None


def _member(container: str, info: tarfile.TarInfo, seen: set[str]) -> Place:
    name = printable(info.name)
    parts = PurePosixPath(name).parts
    reason, detail = "", ""
    if not info.isreg() or info.issparse():
        kind = "link" if info.issym() or info.islnk() else "sparse file" if info.issparse() else "device"
        reason, detail = ImageSetReason.NOT_A_FILE, f"a {kind}"
    elif name != info.name:
        reason, detail = ImageSetReason.UNSAFE_NAME, "the name is not UTF-8"
    elif name.startswith("/") or ".." in parts:
        reason, detail = ImageSetReason.UNSAFE_NAME, "the name leads out of the tar"
    elif name in seen:
        reason, detail = ImageSetReason.REPEATED_NAME, "the tar holds that name before"
    seen.add(name)
    return Place(container, name, info.offset_data, info.size, reason, detail)


def _in_folder(root: Path) -> Iterator[Place]:
    for name, status in _walk(root):
        text = printable(name)
        if status is None or not stat.S_ISREG(status.st_mode):
            detail = "a device, or a link that leads nowhere or in a circle"
            yield Place(text, "", 0, 0, ImageSetReason.NOT_A_FILE, detail)
        elif text != name:
            yield Place(text, "", 0, status.st_size, ImageSetReason.UNSAFE_NAME, "the name is not UTF-8")
        else:
            yield Place(text, "", 0, status.st_size)


def _walk(root: Path) -> Iterator[tuple[str, os.stat_result | None]]:
    """Yield (path relative to `root`, status) of all but folders, sorted in each folder. Links are followed.

    The status is None for what cannot be reached and for links that lead back to a folder they lie in.
    """
    above: tuple[tuple[int, int], ...] = (_identity(root.stat()),)
    waiting = [("", above, _names(root))]  # the folders on the way down
    while waiting:
        prefix, above, names = waiting[-1]
        name = next(names, None)
        if name is None:
            waiting.pop()
            continue
        path = root / prefix / name
        try:
            status = path.stat()
        except OSError as error:
            if error.errno not in UNREACHABLE:
                raise
            yield prefix + name, None
            continue
        if not stat.S_ISDIR(status.st_mode):
            yield prefix + name, status
        elif _identity(status) in above:
            yield prefix + name, None
        else:
            waiting.append((f"{prefix}{name}/", (*above, _identity(status)), _names(path)))


def _names(folder: Path) -> Iterator[str]:
    return iter(sorted(path.name for path in folder.iterdir()))


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def printable(name: str) -> str:
    """Return a file's name as UTF-8 text, with marks where its bytes are not."""
    return os.fsencode(name).decode("utf-8", "replace")
