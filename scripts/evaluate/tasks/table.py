"""Labelled sets as a CSV table: a column of file names and a column of labels."""

from __future__ import annotations

import csv
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from scripts.evaluate.items import TEST, TRAIN, Item, existing, named_paths, split_of
from scripts.evaluate.settings_split import HashSplit
from scripts.evaluate.settings_tasks import TableTask
from scripts.lib.accounting import account_for
from scripts.lib.errors import UserError

log = logging.getLogger(__name__)


class _Row(NamedTuple):
    name: str
    labels: tuple[str, ...]  # each once, sorted
    split: str  # "" for a row of neither

    @property
    def reason(self) -> str:
        return "no_label" if not self.labels else "" if self.split else "no_split"


def list_items(task: TableTask, paths: Sequence[str]) -> list[Item]:
    """Return the rows that have a label, split by a column or by a hash of the file name.

    An image of several labels has them all as accepted; the rarest stands for it, so that parts hold rare classes.

    Raises:
        UserError: the table or a picture is missing; a column is not there; a row cannot be used; a file comes twice.
    """
    named = named_paths(task, paths)
    what = f"a CSV with the columns `{task.file_column}` and `{task.label_column}`"
    table = existing(task, "table", named["table"], what)
    root = existing(task, "root", named["root"], "the folder that the table's file names are relative to")
    rows = _rows(task, table)
    account = account_for(len(rows), (row.reason for row in rows))
    log.info(
        "%s: %d rows, %d labelled, left out %s", table, account["read"], account["kept"], account["rejected"] or "none"
    )
    counts = Counter(label for row in rows if not row.reason for label in row.labels)
    items = []
    seen = set()
    for row in (row for row in rows if not row.reason):
        if row.name in seen:
            raise UserError(f"{table} of the task {task.name} names the file {row.name} twice; leave one row for each")
        seen.add(row.name)
        first = min(row.labels, key=lambda label: (counts[label], label))
        accepted = row.labels if len(row.labels) > 1 else None
        items.append(Item(row.split, row.name, first, -1, _size(task, root, row.name), accepted))
    return items


def _row(task: TableTask, cells: dict[str, str]) -> _Row:
    name, text = cells[task.file_column], cells[task.label_column]
    parts = [text] if task.label_separator is None else text.split(task.label_separator)
    labels = tuple(sorted({part.strip() for part in parts} - {""}))
    if isinstance(task.test, HashSplit):
        return _Row(name, labels, split_of(name, task.test))
    value = cells[task.test.split_column].strip()
    split = TRAIN if value in task.test.train_values else TEST if value in task.test.test_values else ""
    return _Row(name, labels, split)


def _rows(task: TableTask, table: Path) -> list[_Row]:
    """Return file name, labels and split of each row."""
    wanted = [task.file_column, task.label_column]
    wanted += [] if isinstance(task.test, HashSplit) else [task.test.split_column]
    try:
        with table.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle, strict=True)
            for column in wanted:
                if column not in (reader.fieldnames or ()):
                    raise UserError(
                        f"{table} of the task {task.name} has no column `{column}`; its columns are "
                        f"{', '.join(reader.fieldnames or ['none'])}. Correct that key of the task"
                    )
            rows = []
            for row in reader:
                if None in row or None in row.values():
                    raise UserError(
                        f"line {reader.line_num} of {table} (task {task.name}) has not as many fields as the header; "
                        "correct the line"
                    )
                rows.append(_row(task, row))
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
