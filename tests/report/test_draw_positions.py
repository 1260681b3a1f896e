from __future__ import annotations

from pathlib import Path
from typing import Any

from scripts.report.draw_positions import count_squares, describe_positions, main
from scripts.report.inline_svg import read_drawing
from tests.report.made import selection_row, write_selection


def at(image_id: str, latitude: float | None, longitude: float | None, reason: str = "") -> dict[str, Any]:
    return selection_row(image_id, reason, latitude=latitude, longitude=longitude)


PLACES = [
    at("a", 48.1, 11.6),
    at("b", 49.99, 14.99),
    at("c", 50.0, 10.0),
    at("d", -0.1, -0.1),
    at("e", 90.0, 180.0),
    at("f", -90.0, -180.0),
    at("g", None, 10.0),
    at("h", float("nan"), 10.0),
    at("i", 90.1, 0.0),
    at("j", 48.1, 11.6, reason="face"),
    at("k", 0.0, float("inf")),
]
EXPECTED = {(-180, -90): 1, (-5, -5): 1, (10, 45): 2, (10, 50): 1, (175, 85): 1}


def test_squares_hold_their_south_west_corner(tmp_path: Path):
    found, images = count_squares(write_selection(tmp_path / "s.parquet", PLACES))
    assert found == EXPECTED and images == 10
    assert describe_positions(found, images) == (
        "6 of 10 kept images (60.0 %) carry a position, in 5 squares of 5 degrees; at most 2 in one."
    )


def test_the_step(tmp_path: Path):
    for name, rows in (("all", PLACES), ("none", [at("a", None, None)]), ("empty", [])):
        selection = write_selection(tmp_path / f"{name}.parquet", rows)
        for time in ("first", "second"):
            files = ["--png", str(tmp_path / f"{time}.png"), "--svg", str(tmp_path / f"{time}.svg")]
            main(["--selection", str(selection), *files])
        for suffix in (".png", ".svg"):
            assert (tmp_path / f"first{suffix}").read_bytes() == (tmp_path / f"second{suffix}").read_bytes()
        drawing = read_drawing(tmp_path / "first.svg", "positions-")
        assert "carry a position, in 5 squares" in drawing.description or name != "all"
        assert "11.6" not in drawing.description and "Europe" in drawing.markup
    assert read_drawing(tmp_path / "first.svg", "").description == "None of 0 kept images carries a position."
