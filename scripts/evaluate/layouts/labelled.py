"""What a layout yields, and how its lists are read: everything below one root, nothing trusted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple


class Labelled(NamedTuple):
    """One image as the set's own lists give it."""

    split: str | None  # None: the set has no splits of its own
    name: str  # of the file relative to the root, or `<batch>/<index>` in an array
    classes: tuple[str, ...]  # the one class; several, or none, where images have several labels
    ignored: tuple[str, ...] = ()  # classes of which it cannot be said: VOC's difficult objects


class LayoutError(Exception):
    """A set is not laid out as expected; the text says what is wrong and where."""


def read_text(path: Path) -> str:
    """Return a list's text.

    Raises:
        LayoutError: it is missing or no UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LayoutError(f"{path} cannot be read ({getattr(error, 'strerror', None) or error})") from None


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a list that are not empty.

    Raises:
        LayoutError: it is missing.
    """
    for line in read_text(path).splitlines():
        if line.strip():
            yield line.strip()


def read_pairs(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (first word, all that follows) of each line.

    Raises:
        LayoutError: the list is missing, or a line has one word.
    """
    for line in read_lines(path):
        first, _, rest = line.partition(" ")
        if not rest.strip():
            raise LayoutError(f"{path} has the line {line!r}; a name and a label are expected")
        yield first, rest.strip()


def read_json(path: Path) -> Any:
    """Return a JSON file's content.

    Raises:
        LayoutError: it is missing or no JSON.
    """
    try:
        return json.loads(read_text(path))
    except ValueError as error:
        raise LayoutError(f"{path} is not JSON ({error})") from None


def class_folders(root: Path, folder: str, without: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Yield (file relative to `root`, class) of the files of the class folders in `folder`, sorted.

    Raises:
        LayoutError: there is no such folder.
    """
    if not (root / folder).is_dir():
        raise LayoutError(f"there is no folder {root / folder}")
    for place in sorted(path for path in (root / folder).iterdir() if path.is_dir() and path.name not in without):
        for file in sorted(place.iterdir()):
            if not file.name.startswith(".") and file.is_file():
                yield f"{folder}/{place.name}/{file.name}", place.name


def check_name(name: str) -> str:
    """Return a file's name that a list gives, when it stays below the root.

    Raises:
        LayoutError: it does not.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise LayoutError(f"a list names {name!r}, which does not stay in the set's folder")
    return name
