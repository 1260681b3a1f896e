"""Clusters made by hand, drawn, listed and counted."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from scripts.lib.errors import UserError
from scripts.lib.files import table_of, write_table
from scripts.lib.sheet import GAP, HEAD_HEIGHT, MUTED, Tile, draw_sheet
from scripts.lib.tables import DUPLICATES
from scripts.report.draw_duplicates import BY_LOT, FARTHEST, choose_clusters, lay_out, main, near_clusters
from scripts.report.settings import ContactSheetSettings
from tests.report.made import HOSTILE, jpeg, selection_row, write_part, write_selection

SETTINGS = ContactSheetSettings(images=6, columns=3, thumbnail=48, seed=0)


def member(image_id: str, cluster: str, reason: str, members: int, distance: int = 0, **given: Any) -> dict[str, Any]:
    row = {"image_id": image_id, "cluster": cluster, "reason": reason, "members": members, "distance": distance}
    return {"mirrored": False, "turned": 0, **row, **given}


# a: three near copies and one by bytes. m: a mirrored and turned copy, and people. x: copies by bytes alone.
ROWS = [
    member("a", "a", "", 5),
    member("b", "a", "near_duplicate", 5, 2),
    member("c", "a", "near_duplicate", 5, 6),
    member("d", "a", "exact_duplicate", 5),
    member("e", "a", "near_duplicate", 5, 4),
    member("m", "m", "", 2),
    member("n", "m", "near_duplicate", 2, 1, mirrored=True, turned=90),
    member("x", "x", "", 2),
    member("y", "x", "exact_duplicate", 2),
]


def make_inputs(folder: Path, rows: list[dict[str, Any]], lacking: str = "") -> list[str]:
    ids = [row["image_id"] for row in rows]
    reasons = {row["image_id"]: row["reason"] for row in rows} | {"m": "person"}
    write_part(folder, "0", {name: jpeg(index) for index, name in enumerate(ids)}, {})
    selected = [selection_row(name, reasons[name], creator=HOSTILE) for name in ids if name != lacking]
    # A row that names the same image again has no bytes of its own.
    repeated = [
        {**row, "row": 9, "keep": False, "reason": "repeated_id", "width": None, "height": None} for row in selected
    ]
    selection = write_selection(folder / "select.parquet", [*repeated, *selected])
    write_table(folder / "duplicates.parquet", table_of(rows, DUPLICATES))
    return [
        *("--recipe", SETTINGS.model_dump_json(), "--duplicates", str(folder / "duplicates.parquet")),
        *("--selection", str(selection), "--tars", str(folder / "0.tar"), "--statuses", str(folder / "0.parquet")),
        *("--faces", str(folder / "faces" / "0.parquet")),
    ]


def run(folder: Path, rows: list[dict[str, Any]], out: str = "out", **given: Any) -> Path:
    target = folder / out
    sheets = [str(target / f"{name}.png") for name in (FARTHEST, BY_LOT)]
    files = ["--clusters", str(target / "clusters.csv"), "--figures", str(target / "figures.json")]
    main([*make_inputs(folder, rows, **given), "--sheets", *sheets, *files])
    return target


def test_clusters_are_drawn_listed_and_counted(tmp_path: Path) -> None:
    out, again = run(tmp_path, ROWS), run(tmp_path, ROWS, "again")
    for path in out.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name
    with (out / "clusters.csv").open(newline="") as handle:
        listed = list(csv.DictReader(handle))
    assert [row["image_id"] for row in listed] == [row["image_id"] for row in ROWS]
    assert listed[6] == {
        "cluster": "m",
        "image_id": "n",
        "reason": "near_duplicate",
        "distance": "1",
        "mirrored": "True",
        "turned": "90",
    }
    assert json.loads((out / "figures.json").read_text()) == {
        **{"clusters": 3, "largest": 5, "exact": 2, "near": 4, "mirrored": 1, "turned": 1},
        "by_distance": {"1": 1, "2": 1, "4": 1, "6": 1},
    }
    pictures = {name: Image.open(out / f"{name}.png") for name in (FARTHEST, BY_LOT)}
    assert {name: picture.info["Description"] for name, picture in pictures.items()} == {
        FARTHEST: "all 2; faces blurred",
        BY_LOT: "all 2; faces blurred",
    }


def test_farthest_clusters_and_copies_come_first_as_many_as_a_sheet_holds() -> None:
    rows = [
        row
        for index in range(6)
        for row in (
            member(f"k{index}", f"k{index}", "", 2),
            member(f"l{index}", f"k{index}", "near_duplicate", 2, index),
        )
    ]
    chosen = choose_clusters(near_clusters(table_of(rows, DUPLICATES)), SETTINGS)
    assert [cluster.best["image_id"] for cluster in chosen[FARTHEST]] == ["k5", "k4", "k3"]
    assert len(chosen[BY_LOT]) == 3
    other = choose_clusters(near_clusters(table_of(rows, DUPLICATES)), SETTINGS.model_copy(update={"seed": 5}))
    assert [each.best for each in other[BY_LOT]] != [each.best for each in chosen[BY_LOT]]
    assert other[FARTHEST] == chosen[FARTHEST]
    wide = choose_clusters(near_clusters(table_of(ROWS, DUPLICATES)), SETTINGS)[FARTHEST]
    assert [row["image_id"] for row in wide[0].copies] == ["c", "e"]  # two of three beside the best: a row is full


def test_a_cluster_lies_in_one_row_joined_by_a_band() -> None:
    one, two = (Tile(Image.new("RGB", (48, 48), colour), "", "", "") for colour in ((255, 0, 0), (0, 255, 0)))
    laid = lay_out([[one, two], [one, two], [one]], columns=3)
    assert [tile and tile.joined for tile in laid] == [False, True, None, False, True, False]
    sheet = draw_sheet("heading", laid, 3, 48)
    gap, middle = GAP + 48 + GAP // 2, HEAD_HEIGHT + 24
    assert sheet.getpixel((gap, middle)) == MUTED
    assert sheet.getpixel((gap + 48 + GAP, middle)) != MUTED


def test_whole_pictures_are_hidden_where_the_best_was_dropped_for_a_person(tmp_path: Path) -> None:
    def detail(picture: Image.Image) -> int:
        return len(picture.crop((GAP, HEAD_HEIGHT, GAP + 40, HEAD_HEIGHT + 30)).getcolors(1200) or [])

    people = Image.open(run(tmp_path, ROWS[5:7]) / f"{FARTHEST}.png")
    plain = Image.open(run(tmp_path, ROWS[:5]) / f"{FARTHEST}.png")
    assert detail(people) < detail(plain)


def test_nothing_to_draw(tmp_path: Path) -> None:
    out = run(tmp_path, ROWS[7:])
    assert Image.open(out / f"{FARTHEST}.png").info["Description"] == "no near duplicates"
    assert json.loads((out / "figures.json").read_text())["exact"] == 1


def test_a_selection_of_another_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"select\.parquet lacks 1 images of the clusters of duplicates \(first: c\)"):
        run(tmp_path, ROWS, lacking="c")
    with pytest.raises(UserError, match="cluster of image a"):
        run(tmp_path, ROWS[1:])
