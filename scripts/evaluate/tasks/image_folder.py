"""Labelled sets as folders of class folders, `<class>/.../<file>`, as torchvision's ImageFolder reads them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from scripts.evaluate.items import Item, data_of, in_class_folders, named_paths, split_data
from scripts.evaluate.real_labels import with_real_labels
from scripts.evaluate.settings_tasks import ImageFolderTask
from scripts.lib.errors import UserError

_WHAT = "a folder with one folder of pictures for each class"


def list_items(task: ImageFolderTask, paths: Sequence[str]) -> list[Item]:
    """Return the images below the class folders; hidden files and files that are not pictures are passed over.

    Raises:
        UserError: a folder is missing or is not a folder, or it holds pictures that cannot be used.
    """
    items = [
        Item(side, name, class_name, -1, file.stat().st_size)
        for split, folder in _folders(task, paths).items()
        for side, name, class_name, file in in_class_folders(
            task, split, folder, ((name, folder / name) for name in _file_names(folder))
        )
    ]
    real = named_paths(task, paths).get("real_labels")
    return items if real is None else with_real_labels(task, items, real)


def _folders(task: ImageFolderTask, paths: Sequence[str]) -> dict[str, Path]:
    found = split_data(task, paths, _WHAT)
    for field, path in found.items():
        if not path.is_dir():
            raise UserError(f"{path} (key `{field}` of the task {task.name}) is not a folder; expected is {_WHAT}")
    return found


def _file_names(folder: Path) -> Iterator[str]:
    """Yield the files below `folder`, relative to it, in sorted order; links are followed, as sets are often linked."""
    for where, subfolders, files in os.walk(folder, followlinks=True):
        subfolders.sort()
        relative = Path(where).relative_to(folder)
        for file in sorted(files):
            yield (relative / file).as_posix()


class _FolderReader:
    def __init__(self, folders: dict[str, Path]) -> None:
        self._folders = folders

    def read(self, item: Item) -> bytes:
        """Return the file's bytes."""
        return (data_of(item, self._folders) / item.name).read_bytes()


def open_reader(task: ImageFolderTask, paths: Sequence[str]) -> _FolderReader:
    """Return a reader of the listed files."""
    return _FolderReader(_folders(task, paths))
