from __future__ import annotations

from pathlib import Path

from scripts.report.selection_statistics import NOT_GIVEN, UNLIKELY_YEAR, Entry, kept_statistics, own_facts, shortened
from tests.report.made import HOSTILE, selection_row, write_selection


def test_only_kept_rows_count(tmp_path: Path):
    rows = [
        selection_row("a", creator_id="1", creator="Ana", width=500, height=300, latitude=1.0, longitude=2.0),
        selection_row("b", creator_id="1", creator="Ana", width=100, height=400, capture_device=""),
        selection_row("c", creator_id="", creator="Bo", width=70, height=70, licence="CC0-1.0", latitude=1.0),
        selection_row("d", "face", creator_id="9", creator="Nobody", width=9000, height=9000),
    ]
    found = kept_statistics(write_selection(tmp_path / "s.parquet", rows))
    assert (found.images, found.photographers, found.most_per_photographer) == (3, 2, 2)
    assert found.median_per_photographer == 1.5
    assert found.top_photographers == [Entry("Ana", 2), Entry("Bo", 1)]
    assert found.licences == [Entry("CC-BY-2.0", 2), Entry("CC0-1.0", 1)]
    assert found.cameras == [Entry("Camera 1", 2), Entry(NOT_GIVEN, 1)]
    assert (found.median_long_side, found.longest_side, found.shortest_side) == (400, 500, 70)
    assert (found.landscape, found.portrait, found.located) == (1, 1, 1)


def test_two_people_of_one_name_are_two_and_one_id_in_two_sources_is_two(tmp_path: Path):
    rows = [
        selection_row("a", creator_id="1", creator="Ana"),
        selection_row("b", creator_id="2", creator="Ana"),
        selection_row("c", creator_id="1", creator="Ana", source="other"),
    ]
    assert kept_statistics(write_selection(tmp_path / "s.parquet", rows)).photographers == 3


def test_images_without_a_creator_are_no_photographer(tmp_path: Path):
    rows = [
        selection_row("a"),
        selection_row("b", creator_id="", creator=""),
        selection_row("c", creator_id=None, creator=None),
    ]
    found = kept_statistics(write_selection(tmp_path / "s.parquet", rows))
    assert (found.photographers, found.uncredited, found.most_per_photographer) == (1, 2, 1)
    assert own_facts(found)["Photographers"].endswith("; 2 images name none")


def test_years_that_cannot_be_are_counted_apart(tmp_path: Path):
    dates = ["2012-05-31", "2009-01-01", "2012-01-01", "4501-01-01", "null", "", None, "1825-12-31", "20"]
    rows = [selection_row(f"{index}", date_taken=date) for index, date in enumerate(dates)]
    found = kept_statistics(write_selection(tmp_path / "s.parquet", rows)).years
    assert found == [Entry("2009", 1), Entry("2012", 2), Entry(UNLIKELY_YEAR, 6)]


def test_many_years_are_drawn_together(tmp_path: Path):
    rows = [selection_row(f"{year}", date_taken=f"{year}-01-01") for year in range(1990, 2010)]
    years = kept_statistics(write_selection(tmp_path / "s.parquet", rows)).years
    assert years[0] == Entry("before 1994", 4) and years[1] == Entry("1994", 1) and len(years) == 17


def test_names_are_made_plain(tmp_path: Path):
    found = kept_statistics(write_selection(tmp_path / "s.parquet", [selection_row("a", creator=HOSTILE)]))
    name = found.top_photographers[0].name
    assert "\u202e" not in name and "\n" not in name and "\x1b" not in name and len(name) <= 60


def test_nothing_kept(tmp_path: Path):
    found = kept_statistics(write_selection(tmp_path / "s.parquet", [selection_row("a", "face")]))
    assert found.images == 0 and found.photographers == 0 and own_facts(found) == {"Images": "none"}


def test_long_lists_end_in_the_rest():
    entries = [Entry(f"{index}", 20 - index) for index in range(15)]
    short = shortened(entries)
    assert len(short) == 10 and short[-1] == Entry("6 others", sum(20 - index for index in range(9, 15)))
    assert sum(entry.images for entry in short) == sum(entry.images for entry in entries)
