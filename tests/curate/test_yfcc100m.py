"""yfcc100m: every line or record becomes one row, whatever it holds."""

from __future__ import annotations

import sqlite3
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pytest

from scripts.curate.rows import CandidateRow, RejectedRow
from scripts.curate.sources import yfcc100m, yfcc_row
from scripts.lib.errors import UserError
from scripts.lib.identity import yfcc_key
from tests.curate.made_yfcc import KEY, RECORD, URL, YFCC, line, read


def test_both_layouts_give_the_same_candidate(tmp_path: Path):
    [new] = read(tmp_path / "new", line())
    [old] = read(tmp_path / "old", line(yfcc_row.COLUMNS_23))
    assert new == old
    assert new == CandidateRow(
        row=1,
        image_id=KEY,
        locator=URL,
        photo_id="159974628",
        creator_id="12345678@N00",
        creator="Stef Noble",
        title="A & B line two",
        page_url=RECORD["pageurl"],
        download_url=URL,
        licence="CC-BY-2.0",
        licence_name="Attribution License",
        licence_url=RECORD["licenseurl"],
        date_taken="2006-05-31 21:07:00.0",
        latitude=51.75,
        longitude=-1.25,
        capture_device="Canon/EOS",
    )


def test_sqlite_gives_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "yfcc100m_dataset.sql"
    base = sqlite3.connect(path)
    base.execute(f"CREATE TABLE yfcc100m_dataset ({', '.join(_typed(name) for name in yfcc_row.COLUMNS_23)})")
    for number in (3, 1, 2):
        values = [RECORD.get(name) for name in yfcc_row.COLUMNS_23]  # None where the text form is empty
        values[0] = number
        base.execute(f"INSERT INTO yfcc100m_dataset VALUES ({', '.join('?' * 23)})", values)
    base.execute("UPDATE yfcc100m_dataset SET title = CAST(x'ff00fe' AS TEXT) WHERE photoid = 2")
    for number, title in enumerate(["a\tb", "a\nb", "\t\n", "c"], start=4):
        changed = [number, *values[1:6], title, *values[7:]]
        base.execute(f"INSERT INTO yfcc100m_dataset VALUES ({', '.join('?' * 23)})", changed)
    base.commit()
    base.close()
    path.chmod(0o444)
    first, second, third, *titled = read(path)
    assert [row.title for row in titled] == ["a b", "a b", "", "c"]
    for records in (1, 2, 100):
        monkeypatch.setattr(yfcc100m, "RECORDS_PER_BLOCK", records)
        batches = list(yfcc100m.read_batches(YFCC, "yfcc-000", path, ("CC-BY-2.0",), 1))
        rows = pa.concat_tables(batch.candidates for batch in batches).sort_by("row")
        assert rows.to_pylist() == [asdict(row) for row in (first, third, *titled)]
        assert pa.concat_tables(batch.rejected for batch in batches)["detail"].to_pylist() == [second.detail]
    [expected] = read(tmp_path / "text", line(photoid="1"))
    assert first == expected
    assert (second.row, second.reason) == (2, "not_utf8")
    assert third.photo_id == "3"


def _typed(name: str) -> str:
    integer = name in ("accuracy", "serverid", "farmid", "marker")
    return f"{name} {'INTEGER PRIMARY KEY' if name == 'photoid' else 'INTEGER' if integer else 'TEXT'}"


def test_sqlite_without_the_table(tmp_path: Path):
    path = tmp_path / "other.sqlite"
    base = sqlite3.connect(path)
    base.execute("CREATE TABLE photos (id INTEGER)")
    base.close()
    with pytest.raises(UserError, match=r"its table yfcc100m_dataset does not exist.*yfcc100m_dataset.sql"):
        read(path)


@pytest.mark.parametrize(
    ("broken", "reason", "detail"),
    [
        (line()[:-2], "wrong_field_count", "24 fields where 25 are due"),
        (line() + b"\t", "wrong_field_count", "26 fields"),
        (b"", "wrong_field_count", "1 fields"),
        (line().replace(b"A+", b"\xff+"), "not_utf8", "title: invalid start byte at byte 0"),
        (line(marker="1"), "not_a_photo", "a video"),
        (line(marker="photo"), "bad_field", "marker is neither 0 nor 1: photo"),
        (line(photoid="12a"), "bad_field", "photoid is not a number: 12a"),
        (line(photoid="١٢"), "bad_field", "photoid is not a number"),
        (line(latitude="north"), "bad_field", "latitude is not a number of degrees: north"),
        (line(latitude="91"), "bad_field", "latitude is beyond 90 degrees: 91"),
        (line(longitude="nan"), "bad_field", "longitude is not a number"),
        (line(downloadurl="file:///etc/passwd"), "bad_field", "downloadurl is not an http address"),
        (line(pageurl="javascript:alert(1)"), "bad_field", "pageurl is not an http address"),
        (line(downloadurl="", hash=""), "bad_field", "downloadurl is empty"),
        (line(licensename="All Rights Reserved"), "unknown_licence", "All Rights Reserved"),
        (line(licensename="", licenseurl=""), "unknown_licence", ""),
        (
            line(licensename="Attribution-NonCommercial License", licenseurl=""),
            "licence",
            "CC-BY-NC-2.0 is not asked for",
        ),
    ],
)
def test_a_bad_line_is_one_rejected_row_between_two_good_ones(tmp_path: Path, broken: bytes, reason: str, detail: str):
    first, second, third = read(tmp_path / "metadata", line(), broken, line())
    assert isinstance(first, CandidateRow) and isinstance(third, CandidateRow)
    assert isinstance(second, RejectedRow)
    assert (second.row, second.reason, third.row) == (2, reason, 3)
    assert second.detail.startswith(detail)


@pytest.mark.parametrize(
    "title", ['"unbalanced', '"', "a\rb", "\u2028", "x" * 3_000_000, "%00%0D%0A", "ça + 大きさ", "\x1b[31mred"]
)
def test_what_breaks_csv_readers_is_one_row(tmp_path: Path, title: str):
    rows = read(tmp_path / "metadata", line(), line(title=title), line())
    assert [type(row) for row in rows] == [CandidateRow] * 3
    assert not any(mark in rows[1].title for mark in "\r\n\t\0\x1b\u2028")


def test_windows_line_ends_and_a_missing_last_line_feed(tmp_path: Path):
    path = tmp_path / "metadata"
    path.write_bytes(line() + b"\r\n" + line())
    assert [row.image_id for row in read(path)] == [KEY, KEY]


def test_the_key_column_is_used_when_it_is_one_and_computed_when_not(tmp_path: Path):
    good, bad = read(tmp_path / "metadata", line(hash="0123456789abcdef"), line(hash="../../etc/passwd"))
    assert good.image_id == "0123456789abcdef"
    assert bad.image_id == KEY == yfcc_key(URL)


def test_null_date_and_empty_place(tmp_path: Path):
    [row] = read(tmp_path / "metadata", line(datetaken="null", latitude="", longitude="null"))
    assert (row.date_taken, row.latitude, row.longitude) == ("", None, None)


def test_the_layout_is_that_of_most_lines(tmp_path: Path):
    rows = read(tmp_path / "metadata", line(yfcc_row.COLUMNS_23), line(), line())
    assert [type(row) for row in rows] == [RejectedRow, CandidateRow, CandidateRow]


def test_errors_that_name_the_file_and_what_to_do(tmp_path: Path):
    with pytest.raises(UserError, match=r"absent .*curate.sources.yfcc.files in the config\) does not exist"):
        read(tmp_path / "absent")
    (tmp_path / "empty").touch()
    with pytest.raises(UserError, match="is empty"):
        read(tmp_path / "empty")
    with pytest.raises(UserError, match=r"is not YFCC100M metadata.*have 2, 1"):
        read(tmp_path / "other", b"a\tb", b"c")


def test_real_rows_of_the_old_layout(shared: Path):
    rows = read(shared / "yfcc100m_23_columns_real_rows.tsv", licences=("CC-BY-2.0", "CC-BY-NC-2.0"))
    assert [type(row).__name__ for row in rows] == ["CandidateRow", "CandidateRow", "RejectedRow", "CandidateRow"]
    gnome = rows[0]
    assert (gnome.creator, gnome.title, gnome.capture_device) == ("jhf", "Gnome", "SONY CLIE")
    assert rows[3].date_taken == "4501-01-01 00:00:00.0"
    assert rows[3].image_id == yfcc_key(rows[3].download_url)
