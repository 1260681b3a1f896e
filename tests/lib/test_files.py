"""Files are whole or absent."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from scripts.lib import files

SCHEMA = pa.schema([("a", pa.int64()), ("b", pa.string())])


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    target = tmp_path / "x.txt"
    files.write_text(target, "old")
    with pytest.raises(RuntimeError), files.replacing(target) as private:
        private.write_text("half")
        raise RuntimeError("killed")
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]


def test_equal_tables_have_equal_bytes(tmp_path: Path) -> None:
    rows = [{"a": index, "b": str(index)} for index in range(1000)]
    files.write_table(tmp_path / "1.parquet", files.table_of(rows, SCHEMA))
    files.write_table(tmp_path / "2.parquet", files.table_of(iter(rows), SCHEMA))
    assert files.sha256_file(tmp_path / "1.parquet") == files.sha256_file(tmp_path / "2.parquet")


@pytest.mark.parametrize("row", [{"a": 1}, {"a": 1, "b": "x", "c": 2}])
def test_a_row_with_other_fields_is_refused(row: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="row has fields"):
        files.table_of([row], SCHEMA)


def test_no_tables_give_an_empty_one(tmp_path: Path) -> None:
    assert files.read_tables([], SCHEMA).num_rows == 0
    assert files.read_tables([], SCHEMA, columns=["b"]).schema.names == ["b"]


def test_json_is_sorted_and_ends_with_a_newline(tmp_path: Path) -> None:
    files.write_json(tmp_path / "x.json", {"b": 1, "a": "ü"})
    assert (tmp_path / "x.json").read_text(encoding="utf-8") == '{\n  "a": "ü",\n  "b": 1\n}\n'


def test_leftovers_of_killed_writers_are_removed(tmp_path: Path) -> None:
    for name in (".0.tar.0123456789ab.part", ".0.tar.x.part", ".00.tar.0123456789ab.part", "0.tar", ".0.tar.etag"):
        (tmp_path / name).write_bytes(b"x")
    files.remove_leftovers(tmp_path / "0.tar")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".0.tar.etag", ".00.tar.0123456789ab.part", "0.tar"]
