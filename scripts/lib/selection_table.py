"""The table of `select`, read a row group at a time: 17 million rows for the paper, of which a twelfth is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scripts.lib.errors import UserError

ROW_KEY = ("part", "image_id", "source", "file", "row")  # the order of the rows; no two rows share it
REMAKE = "remake it (snakemake --forcerun select)"


def read_kept(path: Path, columns: Sequence[str]) -> pa.Table:
    """Return the given columns of the rows with `keep`, in their order. Holds no more than these and one row group."""
    with pq.ParquetFile(path) as file:
        parts = [_kept(file.read_row_group(index, [*columns, "keep"])) for index in range(file.num_row_groups)]
        empty = pa.schema([file.schema_arrow.field(name) for name in columns]).empty_table()
    return pa.concat_tables([empty, *(part.select(list(columns)) for part in parts)])


def _kept(rows: pa.Table) -> pa.Table:
    return rows.filter(rows["keep"])


def count_selection(path: Path) -> Counter[str]:
    """Return reason → rows of a selection, "" for the kept ones. Holds one row group of its keys at a time.

    Raises:
        UserError: a row says keep and gives a reason, or the other way round, or stands in the table twice.
    """
    counts: Counter[str] = Counter()
    for keys, reasons, keep in _key_batches(path):
        wrong = pc.not_equal(pc.equal(reasons, ""), keep)
        if pc.any(wrong).as_py():
            place = pc.index(wrong, True).as_py()
            raise UserError(
                f"{path}: image {keys['image_id'][place]} has keep = {str(keep[place]).lower()} and the reason "
                f"{str(reasons[place])!r}; {REMAKE}"
            )
        same = pa.repeat(True, max(0, len(keys) - 1))
        for name in ROW_KEY:
            column = keys[name]
            same = pc.and_(same, pc.equal(column.slice(1), column.slice(0, max(0, len(column) - 1))))
        if pc.any(same).as_py():
            place = pc.index(same, True).as_py()
            raise UserError(
                f"{path}: row {keys['row'][place]} of {keys['file'][place]} (image {keys['image_id'][place]}) stands "
                f"in it twice; {REMAKE}"
            )
        for pair in pc.value_counts(reasons).to_pylist():
            counts[pair["values"]] += pair["counts"]
    return counts


def _key_batches(path: Path) -> Iterator[tuple[pa.Table, pa.Array, pa.Array]]:
    """Yield (keys, reasons, keep) of each row group; its keys begin with the last one of the row group before."""
    with pq.ParquetFile(path) as file:
        last = pa.schema([file.schema_arrow.field(name) for name in ROW_KEY]).empty_table()
        for index in range(file.num_row_groups):
            rows = file.read_row_group(index, [*ROW_KEY, "reason", "keep"]).combine_chunks()
            keys = rows.select(list(ROW_KEY))
            reasons, keep = (rows[name].combine_chunks() for name in ("reason", "keep"))
            yield pa.concat_tables([last, keys]).combine_chunks(), reasons, keep
            last = keys.slice(max(0, len(keys) - 1))
