"""Labelled sets as a CSV table: a column of file names and a column of labels."""

from __future__ import annotations

import csv
import logging
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from scripts.evaluate.items import Item, existing, named_paths, split_of
from scripts.evaluate.settings import TableTask
from scripts.lib.accounting import account_for
from scripts.lib.errors import UserError

log = logging.getLogger(__name__)


def list_items(task: TableTask, paths: Sequence[str]) -> list[Item]:
    """Return the rows that have a label, split by a hash of the file name.

    Raises:
        UserError: the table or a picture is missing; a column is not there; a row cannot be used; a file comes twice.
    """
    named = named_paths(task, paths)
    what = f"a CSV with the columns `{task.file_column}` and `{task.label_column}`"
    table = existing(task, "table", named["table"], what)
    root = existing(task, "root", named["root"], "the folder that the table's file names are relative to")
    rows = _rows(task, table)
    account = account_for(len(rows), ("" if label else "no_label" for _, label in rows))
    log.info(
        "%s: %d rows, %d labelled, left out %s", table, account["read"], account["kept"], account["rejected"] or "none"
    )
    items = []
    seen = set()
    for name, label in rows:
        if not label:
            continue
        if name in seen:
            raise UserError(f"{table} of the task {task.name} names the file {name} twice; leave one row for each file")
        seen.add(name)
        items.append(Item(split_of(name, task.test), name, label, -1, _size(task, root, name)))
    return items


def _rows(task: TableTask, table: Path) -> list[tuple[str, str]]:
    """Return (file name, label) of each row."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle, strict=True)
            for column in (task.file_column, task.label_column):
                if column not in (reader.fieldnames or ()):
                    raise UserError(
                        f"{table} of the task {task.name} has no column `{column}`; its columns are "
                        f"{', '.join(reader.fieldnames or ['none'])}. Correct `file_column` or `label_column` of the "
                        "task"
                    )
            rows = []
            for row in reader:
                if None in row or None in row.values():
                    raise UserError(
                        f"line {reader.line_num} of {table} (task {task.name}) has not as many fields as the header; "
                        "correct the line"
                    )
                rows.append((row[task.file_column], row[task.label_column].strip()))
            return rows
    except (csv.Error, OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{table} of the task {task.name} cannot be read ({error}); expected is a CSV in UTF-8"
        ) from None


def _size(task: TableTask, root: Path, name: str) -> int:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise UserError(
            f"the table of the task {task.name} names {name!r}; file names must be relative to `root` and stay in it"
        )
    try:
        return (root / name).stat().st_size
    except OSError as error:
        raise UserError(
            f"the image {name} of the task {task.name} is in its table but not in {root} ({error.strerror}); correct "
            "the key `root` of the task, fetch the picture, or empty the row's label to leave it out"
        ) from None


class _TableReader:
    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, item: Item) -> bytes:
        """Return the file's bytes."""
        return (self._root / item.name).read_bytes()


def open_reader(task: TableTask, paths: Sequence[str]) -> _TableReader:
    """Return a reader of the listed files."""
    return _TableReader(named_paths(task, paths)["root"])
