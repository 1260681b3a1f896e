"""Labelled sets as plain tars of class folders, `<class>/.../<file>`; members are read in place and never extracted."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path

from scripts.evaluate.items import Item, data_of, in_class_folders, split_data
from scripts.evaluate.settings_tasks import TarTask
from scripts.lib.errors import UserError
from scripts.lib.tars import Member, TarReader, list_members

_WHAT = "a plain tar whose members are `<class>/<file>`"


def list_items(task: TarTask, paths: Sequence[str]) -> list[Item]:
    """Return the images in the class folders; hidden files and files that are not pictures are passed over.

    Raises:
        UserError: a tar is missing, compressed or damaged, or it holds pictures that cannot be used.
    """
    return [
        Item(side, name, class_name, member.offset, member.size)
        for split, path in _tars(task, paths).items()
        for side, name, class_name, member in in_class_folders(
            task, split, path, ((member.name.removeprefix("./"), member) for member in _members(task, path))
        )
    ]


def _tars(task: TarTask, paths: Sequence[str]) -> dict[str, Path]:
    found = split_data(task, paths, _WHAT)
    for field, path in found.items():
        if not path.is_file():
            raise UserError(f"{path} (key `{field}` of the task {task.name}) is not a file; expected is {_WHAT}")
    return found


def _members(task: TarTask, path: Path) -> list[Member]:
    try:
        return list(list_members(path))
    except (tarfile.TarError, OSError) as error:
        raise UserError(
            f"{path} of the task {task.name} cannot be read as a tar ({error}); expected is {_WHAT}: decompress it "
            "(gunzip, zstd -d) or fetch it again"
        ) from None


class _MemberReader:
    def __init__(self, tars: dict[str, Path]) -> None:
        self._tars = tars
        self._open = {path: TarReader(path) for path in tars.values()}

    def read(self, item: Item) -> bytes:
        """Return the member's bytes."""
        return self._open[data_of(item, self._tars)].read(item.offset, item.size)


def open_reader(task: TarTask, paths: Sequence[str]) -> _MemberReader:
    """Return a reader of the listed members."""
    return _MemberReader(_tars(task, paths))
