"""Columns of numbers that a run left as CSV: metrics.csv, monitor.csv."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from scripts.lib.errors import UserError


def read_columns(path: Path, needed: Sequence[str]) -> dict[str, list[float]]:
    """Return column → values of a table of numbers; an empty cell is not a number (NaN).

    Raises:
        UserError: a column is missing, or a value is neither a number nor empty.
    """
    with path.open(newline="", encoding="utf-8") as handle:
        reader = csv.DictReader(handle)
        names = list(reader.fieldnames or [])
        if missing := [name for name in needed if name not in names]:
            raise UserError(
                f"{path} has no column {', '.join(missing)}; expected {', '.join(needed)}. Train the run again."
            )
        columns: dict[str, list[float]] = {name: [] for name in names}
        for number, row in enumerate(reader, start=2):
            for name in names:
                columns[name].append(_number(row[name], path, number, name))
    return columns


def _number(text: str | None, path: Path, row: int, column: str) -> float:
    try:
        return float(text) if text else math.nan
    except ValueError:
        raise UserError(f"{path}, line {row}: {column} is {text!r}, expected a number. Train the run again.") from None
