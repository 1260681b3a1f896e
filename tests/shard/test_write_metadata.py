from __future__ import annotations

import csv
from pathlib import Path
from urllib.parse import unquote_plus

import pandas as pd
import pyarrow.parquet as pq
import pytest

from scripts.lib.errors import UserError
from scripts.lib.tables import METADATA
from scripts.shard.write_metadata import encode_name, float_text, inert_text, main
from tests.shard.made import MadeParts, make_parts
from tests.shard.test_write_shards import COUNT, recipe_of, run

SHARDS = ("00000", "00001")


def write(made: MadeParts, out: Path, count: int = COUNT) -> tuple[Path, Path]:
    table, full = out / "pass_metadata.csv", out / "metadata.parquet"
    indexes = [str(run(made, shard, out)[1]) for shard in SHARDS]
    main(
        ["--recipe", recipe_of(count), "--selection", str(made.selection), "--indexes", *indexes,
         "--pass-metadata", str(table), "--metadata", str(full)]
    )  # fmt: skip
    return table, full


def test_both_tables(tmp_path: Path) -> None:
    made = make_parts(tmp_path)
    made.rows[0].update(creator="Ann <b> & Söhne", latitude=53.535233, longitude=-113.565075)
    made.write_selection()
    table, full = write(made, tmp_path / "out")

    kept = sorted((row for row in made.rows if row["keep"]), key=lambda row: str(row["image_id"]))
    metadata = pq.read_table(full)
    assert metadata.schema.equals(METADATA)
    assert metadata["image_id"].to_pylist() == [row["image_id"] for row in kept]
    for row, wrote in zip(kept, metadata.to_pylist(), strict=True):
        for name in set(wrote) & set(row):
            assert wrote[name] == row[name], name
        assert wrote["member"].startswith(f"{wrote['shard']}/{row['image_id']}.")

    frame = pd.read_csv(table, index_col=0)
    assert list(frame.columns) == ["unickname", "datetaken", "licensename", "hash", "latitude", "longitude"]
    assert list(frame.index) == list(range(10))
    assert list(frame["hash"]) == [row["image_id"] for row in kept]
    assert [unquote_plus(name) for name in frame["unickname"]] == [row["creator"] for row in kept]
    located = frame.loc[frame["hash"] == made.rows[0]["image_id"]].iloc[0]
    assert (located["latitude"], located["longitude"]) == (53.535233, -113.565075)
    assert frame["latitude"].isna().sum() == 9


def test_both_hashes_lead_from_the_source_to_the_shard(tmp_path: Path) -> None:
    made = make_parts(tmp_path, secret=(0, 4))
    _, full = write(made, tmp_path / "out")
    rows = {row["image_id"]: row for row in pq.read_table(full).to_pylist()}
    for source in made.rows:
        if source["keep"]:
            row = rows[str(source["image_id"])]
            assert row["source_sha256"] == source["sha256"]
            assert (row["sha256"] == row["source_sha256"]) == (source["row"] not in (0, 4))


def test_layout_is_that_of_the_release(tmp_path: Path, shared: Path) -> None:
    """The released rows, put through our writer, come out byte for byte but for the index."""
    released = (shared / "pass_release" / "pass_metadata.csv").read_text().splitlines()
    made = make_parts(tmp_path, count=10, drop=())
    rows = sorted(made.rows, key=lambda row: str(row["image_id"]))
    for row, line in zip(rows, list(csv.reader(released))[1:], strict=True):
        row.update(creator=unquote_plus(line[1]), date_taken=line[2], licence_name=line[3])
        row.update(latitude=float(line[5]) if line[5] else None, longitude=float(line[6]) if line[6] else None)
    made.write_selection()
    table, _ = write(made, tmp_path / "out")
    ours = table.read_text().splitlines()
    assert ours[0] == released[0]
    for number, (row, mine, theirs) in enumerate(zip(rows, ours[1:], released[1:], strict=True)):
        index, name, date, licence, _, latitude, longitude = theirs.split(",")
        assert mine == f"{number},{name},{date},{licence},{row['image_id']},{latitude},{longitude}"
        assert index != ""


def test_no_cell_starts_like_a_formula_and_names_come_back(tmp_path: Path) -> None:
    hostile = ["=cmd|' /C calc'!A0", "+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", 'a\nb,"c"', "-", ""]
    made = make_parts(tmp_path, count=10, drop=())
    rows = sorted(made.rows, key=lambda row: str(row["image_id"]))
    for row, text in zip(rows, hostile, strict=True):
        row.update(creator=text, licence_name=text, date_taken=text, longitude=-1.5)
    made.write_selection()
    table, _ = write(made, tmp_path / "out")
    with table.open(newline="", encoding="utf-8") as handle:
        lines = list(csv.reader(handle))[1:]
    for cells, text in zip(lines, hostile, strict=True):
        assert not any(cell.startswith(("=", "+", "@", "\t", "\r")) for cell in cells)
        assert [cell for cell in cells if cell.startswith("-")] == ["-1.5"]  # the longitude, a number
        assert unquote_plus(cells[1]) == text
        assert cells[2].removeprefix("'") == text.removeprefix("'")


@pytest.mark.parametrize(
    ("name", "encoded"),
    [
        ("PaperBird Photography<3", "PaperBird+Photography%3C3"),
        ("-a b", "%2Da+b"),
        (" x", "%20x"),
        ("a-b_c.d", "a-b_c.d"),
    ],
)
def test_encode_name(name: str, encoded: str) -> None:
    assert encode_name(name) == encoded
    assert unquote_plus(encoded) == name


def test_inert_text_and_floats() -> None:
    assert inert_text("Attribution License") == "Attribution License"
    assert inert_text("=1+1") == "'=1+1"
    assert [float_text(value) for value in (None, float("nan"), 38.23818, -0.0, 41.0)] == [
        "",
        "",
        "38.23818",
        "-0.0",
        "41.0",
    ]


def test_shards_of_another_selection_are_refused(tmp_path: Path) -> None:
    made = make_parts(tmp_path)
    index = run(made, "00000", tmp_path / "out")[1]
    flags = ["--selection", str(made.selection), "--pass-metadata", "p", "--metadata", "m", "--indexes", str(index)]
    with pytest.raises(UserError, match=r"do not hold what the selection keeps .*column image_id.*write_shards"):
        main(["--recipe", recipe_of(COUNT), *flags])


def test_another_count_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="where with 7 shards it belongs to"):
        write(make_parts(tmp_path), tmp_path / "out", count=7)
