"""Python loads this before a step that is run again: folders list their files in reverse order.

No file system promises an order, and a step whose result follows from it repeats on one disk only.
"""

from __future__ import annotations

import os
from typing import Any

_listdir, _scandir = os.listdir, os.scandir


class _Reversed:
    """What `os.scandir` returns: an iterator that can be closed."""

    def __init__(self, path: Any) -> None:
        with _scandir(path) as entries:
            self._entries = iter(sorted(entries, key=lambda entry: entry.name, reverse=True))

    def __iter__(self) -> _Reversed:
        return self

    def __next__(self) -> Any:
        return next(self._entries)

    def __enter__(self) -> _Reversed:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def close(self) -> None:
        """Do nothing: all was read."""


def _reverse_listdir(path: Any = ".") -> list[Any]:
    return sorted(_listdir(path), reverse=True)


def _reverse_scandir(path: Any = ".") -> Any:
    return _Reversed(path)


os.listdir, os.scandir = _reverse_listdir, _reverse_scandir
