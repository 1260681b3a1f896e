"""YFCC100M metadata: text with 23 or 25 columns, plain or compressed, and the SQLite form.

Real rows hold unbalanced quotes, carriage returns and broken UTF-8, on which CSV readers raise, drop or invent rows
(docs/decisions.md#17). So lines and fields are bytes, split on line feeds and tabs alone, and are decoded only after
the row has passed the photo and licence tests. What the file is, is read from its first bytes, never from its name.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

from scripts.curate.row_batches import RowBatch
from scripts.curate.rows import CandidateRow, RejectedRow
from scripts.curate.settings import Licence, YfccSource
from scripts.curate.sources.lines import Position, is_sqlite, lines_of, read_blocks
from scripts.curate.sources.yfcc_columns import BlockParser
from scripts.curate.sources.yfcc_row import COLUMNS_23, LAYOUTS, Fields, RowParser
from scripts.lib.errors import UserError

TABLE = "yfcc100m_dataset"
LAYOUT_SAMPLE = 1000  # lines that decide which layout a file has, or
RECORDS_PER_BLOCK = 16_384
SAMPLE_BYTES = 64 << 20  # so many bytes of them, where lines are long


def read_rows(
    source: YfccSource, file_name: str, metadata: Path, table: Path | None, licences: Collection[Licence]
) -> Iterator[CandidateRow | RejectedRow]:
    """Yield one row for each line of the text, or for each record of the table, in the order of the file.

    Args:
        source: for its name, which error texts give.
        file_name: name of the metadata file in the plan, e.g. `yfcc100m-000`.
        metadata: the file.
        table: unused.
        licences: those asked for; rows under others are not parsed further.

    Raises:
        UserError: the file is missing, empty, damaged, or is not YFCC100M metadata.
    """
    where = _where(source, file_name, metadata)
    records: Iterator[Fields | None]
    if is_sqlite(metadata):
        layout, records = 23, _records(metadata, where)
    else:
        layout, blocks = _layout_of(read_blocks(metadata, where, 1, Position()), where)
        records = (None if line is None else line.split(b"\t") for line in lines_of(blocks))
    parse = RowParser(layout, frozenset(licences))
    for row, record in enumerate(records, start=1):
        yield parse(row, record)


def read_batches(
    source: YfccSource, file_name: str, metadata: Path, licences: Collection[Licence], threads: int
) -> Iterator[RowBatch]:
    """Yield the rows of `read_rows` in batches, at many times the speed; `threads` decompress.

    Raises:
        UserError: as for `read_rows`.
    """
    where = _where(source, file_name, metadata)
    position = Position()
    blocks: Iterator[bytes | Fields | None]
    if is_sqlite(metadata):
        layout, blocks = 23, _as_lines(_records(metadata, where))
    else:
        layout, blocks = _layout_of(read_blocks(metadata, where, threads, position), where)
    parse = BlockParser(layout, frozenset(licences))
    row, size = 1, metadata.stat().st_size
    for block in blocks:
        batch = parse(row, block)
        row += batch.read
        yield replace(batch, share=position.done / size)


def _where(source: YfccSource, file_name: str, metadata: Path) -> str:
    """Return the file in words for error texts; fail when it is missing or empty."""
    where = f"the metadata file {metadata} ({file_name}: curate.sources.{source.name}.files in the config)"
    if not metadata.is_file():
        raise UserError(
            f"{where} does not exist. Put it there, correct the path, or give its `url` instead of `path`, then it is "
            "fetched. README, section Sources, says where YFCC100M metadata can be had."
        )
    if metadata.stat().st_size == 0:
        raise UserError(f"{where} is empty: an interrupted copy? Bring it again.")
    return where


def _layout_of(blocks: Iterator[bytes | None], where: str) -> tuple[int, Iterator[bytes | None]]:
    """Return the number of columns that most of the first lines have, and all blocks."""
    held: list[bytes | None] = []
    lines = size = 0
    for block in blocks:
        held.append(block)
        lines += 1 if block is None else block.count(b"\n")
        size += len(block or b"")
        if lines >= LAYOUT_SAMPLE or size >= SAMPLE_BYTES:
            break
    head = [line.count(b"\t") + 1 for line in islice(lines_of(iter(held)), LAYOUT_SAMPLE) if line is not None]
    counts = Counter(fields for fields in head if fields in LAYOUTS)
    if not counts:
        found = ", ".join(map(str, head[:5])) or "none"
        raise UserError(
            f"{where} is not YFCC100M metadata: a line has 23 or 25 fields with tabs between them, but the first lines "
            f"here have {found}. Is this the right file?"
        )
    return max(counts, key=lambda layout: (counts[layout], layout)), chain(held, blocks)


def _records(path: Path, where: str) -> Iterator[Fields]:
    """Yield the records of the SQLite form, each field as bytes; NULL is empty."""
    try:
        # immutable: no lock, no journal; the file may lie on a read-only disk.
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as base:
            base.text_factory = bytes  # broken UTF-8 is then found in the row that has it
            found = [name.decode("utf-8", "replace") for _, name, *_ in base.execute(f"PRAGMA table_info({TABLE})")]
            missing = [name for name in COLUMNS_23 if name not in found]
            if missing:
                raise UserError(
                    f"{where} is SQLite, but its table {TABLE} "
                    + (f"lacks the columns {', '.join(missing)}" if found else "does not exist")
                    + ". Is this yfcc100m_dataset.sql?"
                )
            columns = ", ".join(f'"{name}"' for name in COLUMNS_23)
            # By rowid, as the records are stored: no sort, no copy, and the same order every time.
            for record in base.execute(f"SELECT {columns} FROM {TABLE} ORDER BY rowid"):  # noqa: S608 (constants)
                yield [_bytes_of(value) for value in record]
    except sqlite3.DatabaseError as error:
        raise UserError(f"{where} cannot be read as SQLite: {error}. Bring it again and compare its size.") from None


def _as_lines(records: Iterable[Fields]) -> Iterator[bytes | Fields]:
    """Yield records as blocks of lines; one that cannot be a line, because a field has a tab or line feed, as it is."""
    lines: list[bytes] = []
    for record in records:
        line = b"\t".join(record)
        fits = b"\n" not in line and line.count(b"\t") == len(record) - 1
        if fits:
            lines.append(line)
        if lines and (len(lines) == RECORDS_PER_BLOCK or not fits):
            yield b"\n".join(lines) + b"\n"
            lines = []
        if not fits:
            yield record
    if lines:
        yield b"\n".join(lines) + b"\n"


def _bytes_of(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    return b"" if value is None else str(value).encode("utf-8")
