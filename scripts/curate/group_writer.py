"""Parquet tables that arrive in pieces and leave in row groups of one size: their bytes do not depend on the pieces."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from scripts.lib.files import ROW_GROUP_ROWS


class GroupWriter:
    """Writes tables one after the other."""

    def __init__(self, path: Path, schema: pa.Schema, repeating: list[str]) -> None:
        """`repeating` names the columns that have few values: a dictionary of the others would only be thrown away."""
        self._schema, self._held, self._rows = schema, [schema.empty_table()], 0
        self._writer = pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=repeating)
        self.written = 0

    def __enter__(self) -> GroupWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._write(self._rows)
        self._writer.close()

    def add(self, table: pa.Table) -> None:
        """Take a table of the schema."""
        self._held.append(table)
        self._rows += len(table)
        self._write(self._rows - self._rows % ROW_GROUP_ROWS)

    def _write(self, rows: int) -> None:
        """Write the first `rows` of those held, in whole groups but for the last."""
        if rows == 0:
            return
        table = pa.concat_tables(self._held)
        for start in range(0, rows, ROW_GROUP_ROWS):
            # One chunk for each group: where chunks end would show in the pages.
            group = table.slice(start, min(ROW_GROUP_ROWS, rows - start)).combine_chunks()
            self._writer.write_table(group, row_group_size=ROW_GROUP_ROWS)
        self._held, self._rows = [table.slice(rows)], self._rows - rows
        self.written += rows
