"""The rows of one partition, out of the candidate tables of all metadata files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from scripts.curate.stores import Candidate
from scripts.lib.errors import UserError

Row = dict[str, Any]

_COLUMNS = ["image_id", "source", "file", "row", "locator", "download_url"]
_SAFE_ID = re.compile(r"[0-9A-Za-z_-]{1,80}")


def read_candidates(paths: Sequence[Path], part: str, source_order: Sequence[str]) -> list[Row]:
    """Return the candidate rows of one partition, in order of (image id, place of the source in the config, file, row).

    Raises:
        UserError: an image id that cannot be a file name, a source that the recipe does not know, or a row that comes
            twice.
    """
    places = {name: place for place, name in enumerate(source_order)}
    rows = [row for path in paths for row in _rows_of(path, part)]
    for row in rows:
        if row["source"] not in places or not _SAFE_ID.fullmatch(row["image_id"]):
            raise UserError(
                f"row {row['row']} of {row['file']} has image id {row['image_id']!r} and source {row['source']!r};"
                f" expected letters and digits, and one of {list(places)}. The candidate tables are not of this recipe:"
                " delete results/curate/select_candidates and run again."
            )
    rows.sort(key=lambda row: (row["image_id"], places[row["source"]], row["file"], row["row"]))
    for earlier, row in pairwise(rows):
        if all(earlier[name] == row[name] for name in ("image_id", "source", "file", "row")):
            raise UserError(
                f"row {row['row']} of {row['file']} (image {row['image_id']}) comes twice in the candidate tables"
                f" {', '.join(map(str, paths))}: delete them and run again to select the candidates anew."
            )
    return rows


def first_rows(rows: Sequence[Row]) -> dict[str, Row]:
    """Return image id → the first row that names it."""
    first: dict[str, Row] = {}
    for row in rows:
        first.setdefault(row["image_id"], row)
    return first


def candidate_of(row: Row) -> Candidate:
    """Return what stores need to know of a row."""
    return Candidate(row["image_id"], row["source"], row["locator"], row["download_url"])


def _rows_of(path: Path, part: str) -> Iterator[Row]:
    """Yield a table's rows of a partition; groups of rows that cannot hold one are not read (the table is sorted)."""
    with pq.ParquetFile(path) as file:
        place = file.schema_arrow.get_field_index("part")
        for group in range(file.metadata.num_row_groups):
            bounds = file.metadata.row_group(group).column(place).statistics
            if bounds is not None and bounds.has_min_max and not bounds.min <= part <= bounds.max:
                continue
            table = file.read_row_group(group, columns=[*_COLUMNS, "part"])
            parts = table["part"].to_pylist()
            if part in parts:
                first, last = parts.index(part), len(parts) - parts[::-1].index(part)
                yield from (row for row in table.slice(first, last - first).to_pylist() if row.pop("part") == part)
