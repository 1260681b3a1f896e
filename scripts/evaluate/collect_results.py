"""Put the results of all runs, tasks and protocols into one table, sorted."""

from __future__ import annotations

import csv
import itertools
import logging
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from scripts.lib.errors import UserError
from scripts.lib.files import write_csv
from scripts.lib.flags import optional_input, output_file
from scripts.lib.step import run_step, step_parser
from scripts.lib.tables import RESULT_COLUMNS

log = logging.getLogger(__name__)

Row = dict[str, str]
MAY_BE_EMPTY = ("low", "high", "sd")


def read_results(path: str) -> list[Row]:
    """Return the rows of one table of results.

    Raises:
        UserError: the table has other columns, a row of another length, or a figure that is not a number.
    """
    with Path(path).open(newline="", encoding="utf-8") as handle:
        reader = csv.reader(handle)
        header = next(reader, [])
        if tuple(header) != RESULT_COLUMNS:
            raise UserError(
                f"{path} has the columns {','.join(header) or 'none'} where {','.join(RESULT_COLUMNS)} are expected; "
                "delete it and run again"
            )
        rows = [_checked(path, reader.line_num, fields) for fields in reader]
    if not rows:
        raise UserError(f"{path} holds no result; delete it and run again")
    return rows


def _checked(path: str, line: int, fields: list[str]) -> Row:
    if len(fields) != len(RESULT_COLUMNS):
        raise UserError(f"line {line} of {path} has {len(fields)} fields where {len(RESULT_COLUMNS)} are expected")
    row = dict(zip(RESULT_COLUMNS, fields, strict=True))
    for column in ("value", "n", "chance", "low", "high", "sd"):
        if row[column] == "" and column in MAY_BE_EMPTY:
            continue
        try:
            finite = math.isfinite(float(row[column]))
        except ValueError:
            finite = False
        if not finite:
            raise UserError(f"line {line} of {path} has {row[column]!r} as its {column}, which is not a number")
    return row


def collect(rows: Iterable[Row]) -> list[Row]:
    """Return the rows sorted by (task, protocol, metric, run, seed), seeds as numbers.

    Raises:
        UserError: two rows report the same thing.
    """
    ordered = sorted(rows, key=_key)
    for row, following in itertools.pairwise(ordered):
        if _key(row) == _key(following):
            same = ", ".join(f"{name} {row[name]!r}" for name in ("run", "task", "protocol", "metric", "seed"))
            raise UserError(f"two results report the same thing: {same}; give each table once")
    return ordered


def _key(row: Row) -> tuple[str, str, str, str, int, str]:
    seed = row["seed"]
    return row["task"], row["protocol"], row["metric"], row["run"], int(seed) if seed.isdecimal() else -1, seed


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--tables", nargs="*", default=[], type=optional_input, help="tables of results (CSV)")
    parser.add_argument("--out", required=True, type=output_file, help="all results (CSV)")
    options = parser.parse_args(argv)
    paths = [path for path in options.tables if path]
    rows = collect(row for path in paths for row in read_results(path))
    write_csv(options.out, RESULT_COLUMNS, ([row[name] for name in RESULT_COLUMNS] for row in rows))
    log.info("%d tables, %d results, wrote %s", len(paths), len(rows), options.out)


if __name__ == "__main__":
    run_step(main)
