"""A selection in pieces is the selection, and its contradictions are found wherever they lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from scripts.lib.errors import UserError
from scripts.lib.files import table_of
from scripts.lib.selection_table import count_selection, read_kept
from scripts.lib.tables import SELECTION
from tests.report.made import selection_row


def write(path: Path, rows: list[dict[str, Any]], group: int) -> Path:
    pq.write_table(table_of(rows, SELECTION), path, row_group_size=group)
    return path


def made() -> list[dict[str, Any]]:
    reasons = ["", "face", "", "", "person", "face", ""]
    return [selection_row(f"image{index}", reason, row=index) for index, reason in enumerate(reasons)]


@pytest.mark.parametrize("group", [1, 2, 3, 100])
def test_kept_rows_and_counts_do_not_depend_on_row_groups(tmp_path: Path, group: int) -> None:
    path = write(tmp_path / "select.parquet", made(), group)
    kept = read_kept(path, ["image_id", "width"])
    assert kept.column_names == ["image_id", "width"]
    assert kept["image_id"].to_pylist() == ["image0", "image2", "image3", "image6"]
    assert count_selection(path) == {"": 4, "face": 2, "person": 1}


def test_an_empty_selection(tmp_path: Path) -> None:
    path = write(tmp_path / "select.parquet", [], 10)
    assert count_selection(path) == {}
    assert read_kept(path, ["image_id"]).num_rows == 0
    assert read_kept(path, ["image_id"]).column_names == ["image_id"]


@pytest.mark.parametrize("group", [1, 2, 100])
@pytest.mark.parametrize("place", range(7))
def test_a_doubled_row_is_found(tmp_path: Path, group: int, place: int) -> None:
    rows = made()
    rows.insert(place, dict(rows[place]))
    with pytest.raises(
        UserError, match=rf"select\.parquet: row {place} of made-000 \(image image{place}\) stands in it"
    ):
        count_selection(write(tmp_path / "select.parquet", rows, group))


@pytest.mark.parametrize(("place", "keep"), [(0, False), (1, True)])
def test_a_row_must_not_contradict_itself(tmp_path: Path, place: int, keep: bool) -> None:
    rows = made()
    rows[place]["keep"] = keep
    with pytest.raises(UserError, match=rf"image image{place} has keep = {str(keep).lower()} and the reason"):
        count_selection(write(tmp_path / "select.parquet", rows, 2))
