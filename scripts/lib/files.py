"""Files that are either whole or absent: written beside, synced, renamed."""

from __future__ import annotations

import csv
import glob
import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scripts.lib.disk import name_path

ROW_GROUP_ROWS = 65_536  # pinned, because the row group size changes the bytes of a Parquet file


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a private name in the folder of `path`; when the block ends well, sync it and rename it to `path`.

    A reader never sees half a file, and two writers never mix: the last rename wins as a whole. When the block raises,
    the private file is removed.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    private = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.part")
    try:
        yield private
        with private.open("rb") as handle:
            os.fsync(handle.fileno())
        os.replace(private, target)
        sync_folder(target.parent)
    except OSError as error:
        name_path(error, target)
        raise
    finally:
        private.unlink(missing_ok=True)


def remove_leftovers(path: str | os.PathLike[str]) -> None:
    """Remove the private files that killed processes left beside `path`. Only for who holds a lock on writing it."""
    target = Path(path)
    for private in target.parent.glob(f".{glob.escape(target.name)}.*.part"):
        private.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with replacing(path) as private:
        private.write_bytes(content)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8 to `path`, whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as indented JSON with sorted keys and a final newline."""
    write_text(path, json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_csv(path: str | os.PathLike[str], header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV table: RFC 4180 quoting, line feeds, UTF-8."""
    with replacing(path) as private, private.open("w", newline="", encoding="utf-8") as handle:
        plain = csv.writer(handle, lineterminator="\n")
        quoted = csv.writer(handle, lineterminator="\n", quoting=csv.QUOTE_ALL)
        plain.writerow(header)
        for row in rows:
            # Python 3.11 leaves a lone carriage return unquoted here, and readers take it for the end of the line.
            (quoted if any("\r" in str(cell) for cell in row) else plain).writerow(row)


def write_table(path: str | os.PathLike[str], table: pa.Table) -> None:
    """Write a Parquet table with pinned writer options, so that equal rows give equal bytes."""
    with replacing(path) as private:
        pq.write_table(table, private, row_group_size=ROW_GROUP_ROWS, compression="zstd")


def table_of(rows: Iterable[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """Return `rows` as a table of exactly `schema`; a row with a missing or unknown key is an error of the caller."""
    names = set(schema.names)
    listed = list(rows)
    for row in listed:
        if row.keys() != names:
            raise ValueError(f"row has fields {sorted(row)} where the table has {sorted(names)}")
    return pa.Table.from_pylist(listed, schema=schema)


def read_tables(paths: Iterable[str | os.PathLike[str]], schema: pa.Schema, **options: Any) -> pa.Table:
    """Read and concatenate Parquet tables of one schema; no path gives an empty table. `options` go to pyarrow."""
    tables = [pq.read_table(path, **options) for path in paths]
    if not tables:
        columns = options.get("columns")
        return (pa.schema([schema.field(name) for name in columns]) if columns else schema).empty_table()
    return pa.concat_tables(tables)


def sha256_file(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
