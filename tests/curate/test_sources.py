"""The sources folder and fractal, and the checks of fields that all sources share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scripts.curate.rows import CandidateRow, RejectedRow, RowError, check_address, clean_text, parse_degrees
from scripts.curate.settings import FolderSource, FractalSource
from scripts.curate.sources import folder, fractal
from scripts.lib.errors import UserError
from scripts.lib.identity import derived_id
from scripts.lib.images import decode_image

# ---- texts, addresses, numbers


def test_clean_text():
    assert clean_text("plain") == "plain"
    assert clean_text("  two  blanks\t") == "two blanks"
    assert clean_text("a\r\nb\0c\x7f\x85d") == "a b c d"
    assert clean_text("evil\u202egpj.exe") == "evilgpj.exe"
    assert clean_text("👩\u200d🚀 é") == "👩\u200d🚀 é"  # a joiner is part of the sign


@pytest.mark.parametrize("address", ["", "http://a.example/b?c=d", "https://farm1.staticflickr.com:443/1_2.jpg"])
def test_good_addresses(address: str):
    assert check_address("x", address) == address


@pytest.mark.parametrize(
    "address", ["ftp://a/b", "http://", "http://a b/", "http://a/\n", "HTTP://a@b/", "http://a/<x>"]
)
def test_bad_addresses(address: str):
    with pytest.raises(RowError, match="x is not an http address"):
        check_address("x", address)


def test_degrees():
    assert parse_degrees("latitude", "-37.811378", 90.0) == -37.811378
    assert parse_degrees("latitude", "90", 90.0) == 90.0
    for bad in ("90.0001", "1_0", "1e99", "inf", "١", "1,5", " 1"):
        with pytest.raises(RowError):
            parse_degrees("latitude", bad, 90.0)


# ---- folder


def folder_source(**changes: str) -> FolderSource:
    values = {"name": "mine", "kind": "folder", "path": "", "table": None, "licence": None, "creator": None}
    return FolderSource(**{**values, **changes})


def test_a_folder_with_a_table(tmp_path: Path):
    photos = tmp_path / "photos"
    for name in ("b/2.JPG", "a.jpeg", "b/1.png", "notes.txt", "z.webp"):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).write_bytes(b"")
    (photos / "link.jpg").symlink_to("/etc/passwd")
    (photos / "linked").symlink_to(tmp_path, target_is_directory=True)
    table = photos / "table.csv"
    table.write_text(
        "file,creator,creator_id,licence,licence_url,page_url,title\n"
        'a.jpeg,"Ann, B.",ann,Attribution License,,https://example.org/a,"A ""title"""\n'
        "b/1.png,,,,http://creativecommons.org/licenses/by-nc/2.0/,,\n"
        "./b/2.JPG,Cy,,All Rights Reserved,,,\n"
        "z.webp,Zoe,,4,,javascript:x,\n"
        "../secret.jpg,,,,,,\n"
        "a.jpeg,again,,,,,\n"
    )
    source = folder_source(licence="CC0-1.0", creator="me")
    rows = list(folder.read_rows(source, "mine-000", photos, table, ("CC-BY-2.0", "CC0-1.0")))
    assert [row.row for row in rows] == list(range(1, len(rows) + 1))
    found = {row.photo_id: row for row in rows}
    assert list(found) == [
        *("a.jpeg", "b/1.png", "b/2.JPG", "link.jpg", "linked", "notes.txt", "z.webp", "../secret.jpg")
    ]  # the repeated a.jpeg is told by the last row
    assert (rows[-1].reason, rows[-1].detail) == ("bad_field", "the table names this file twice")
    rest = {row.photo_id: row.reason for row in rows[1:-1]}
    assert rest == {
        "b/1.png": "licence",
        "b/2.JPG": "unknown_licence",  # the folder's own licence does not overrule the table
        "link.jpg": "not_a_photo",
        "linked": "not_a_photo",
        "notes.txt": "not_a_photo",
        "z.webp": "bad_field",
        "../secret.jpg": "bad_field",
    }
    first = rows[0]
    assert first.image_id == derived_id("mine", "a.jpeg") and first.locator == "a.jpeg"
    assert (first.creator, first.creator_id, first.title) == ("Ann, B.", "ann", 'A "title"')
    assert (first.licence, first.licence_url) == ("CC-BY-2.0", "https://creativecommons.org/licenses/by/2.0/")
    assert first.download_url == "folder:mine/a.jpeg"
    assert str(tmp_path) not in repr(rows)


def test_a_folder_without_a_table_takes_the_config_s_values(tmp_path: Path):
    (tmp_path / "x y.png").write_bytes(b"")
    [row] = folder.read_rows(folder_source(licence="CC-BY-4.0", creator="me"), "f", tmp_path, None, ("CC-BY-4.0",))
    assert (row.licence, row.creator, row.creator_id) == ("CC-BY-4.0", "me", "me")
    assert row.download_url == "folder:mine/x%20y.png"
    [row] = folder.read_rows(folder_source(), "f", tmp_path, None, ("CC-BY-4.0",))
    assert row.reason == "unknown_licence"


def test_a_file_name_that_is_not_utf8(tmp_path: Path):
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jpg")).write_bytes(b"")
    [row] = folder.read_rows(folder_source(licence="CC0-1.0"), "f", tmp_path, None, ("CC0-1.0",))
    assert (row.reason, row.photo_id) == ("not_utf8", "\ufffd.jpg")


def test_folder_errors_say_what_to_do(tmp_path: Path):
    def rows(path: Path, table: Path | None = None) -> list[CandidateRow | RejectedRow]:
        return list(folder.read_rows(folder_source(), "f", path, table, ()))

    with pytest.raises(UserError, match=r"there is no folder .*curate.sources.mine.path"):
        rows(tmp_path / "absent")
    with pytest.raises(UserError, match=r"there is no table .*curate.sources.mine.table"):
        rows(tmp_path, tmp_path / "absent.csv")
    table = tmp_path / "table.csv"
    for content, message in [
        (b"file,license\na,b\n", "has the columns file, license; expected"),
        (b"creator\nme\n", "has the columns creator; expected"),
        (b"", "has the columns none"),
        (b"file,title\na.jpg,b,c\n", "line 2 of the table .* has more fields than columns"),
        (b"file\n\xff.jpg\n", "is not CSV in UTF-8"),
        (b'file\n"a.jpg\n', "is not CSV in UTF-8"),
    ]:
        table.write_bytes(content)
        with pytest.raises(UserError, match=message):
            rows(tmp_path, table)


# ---- fractal

FRACTALS = FractalSource(
    name="fractals", kind="fractal", classes=3, images_per_class=2, image_size=32, iterations=500, seed=4
)


def test_fractal_rows_have_all_that_attribution_needs():
    rows = list(fractal.read_rows(FRACTALS, "fractals-000", Path(), None, ("CC0-1.0",)))
    assert [row.locator for row in rows] == ["0/0", "0/1", "1/0", "1/1", "2/0", "2/1"]
    assert [row.row for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[3].image_id == derived_id("fractals", "1/1")
    assert len({row.creator_id for row in rows}) == 3
    assert all(row.creator and row.title and row.page_url and row.download_url and row.licence_url for row in rows)
    refused = list(fractal.read_rows(FRACTALS, "fractals-000", Path(), None, ("CC-BY-2.0",)))
    assert [row.reason for row in refused] == ["licence"] * 6


def test_fractal_images():
    images = {locator: fractal.make_image(FRACTALS, locator) for locator in ("0/0", "0/1", "1/0")}
    assert len(set(images.values())) == 3
    assert decode_image(images["0/1"]).shape == (32, 32, 3)
    assert fractal.make_image(FRACTALS, "0/1") == images["0/1"]
    for bad in ("", "1", "1/", "-1/0", "a/b", "1/2/3"):
        with pytest.raises(UserError, match="expected system/view"):
            fractal.make_image(FRACTALS, bad)
