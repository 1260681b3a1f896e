from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scripts.lib.errors import UserError
from scripts.lib.sheet import GROUND, Tile, draw_sheet, fit_text, load_font, wrap_text
from scripts.report.draw_contact_sheets import Pick, main, make_tile, pick_images
from scripts.report.faces import FACE_FLOOR, Box, coarse, enlarged, hide_faces
from scripts.report.settings import ContactSheetSettings
from tests.report.made import HOSTILE, jpeg, selection_row, write_part, write_selection

SETTINGS = {"images": 4, "columns": 3, "thumbnail": 64, "seed": 0}


def noise(width: int = 64, height: int = 48):
    return Image.open(io.BytesIO(jpeg(1, width, height))).convert("RGB")


def detail(image: Image.Image):
    """Return the mean absolute difference of neighbouring pixels: what could be recognised."""
    pixels = np.asarray(image, dtype=float)
    return float(np.abs(np.diff(pixels, axis=1)).mean())


def make_inputs(
    folder: Path, rows: list[dict[str, Any]], images: dict[str, bytes], boxes: dict[str, list[tuple[float, ...]]]
):
    write_part(folder, "0", images, boxes)
    selection = write_selection(folder / "select.parquet", rows)
    return [
        *("--recipe", json.dumps(SETTINGS), "--selection", str(selection), "--tars", str(folder / "0.tar")),
        *("--statuses", str(folder / "0.parquet"), "--faces", str(folder / "faces" / "0.parquet"), "--sheets"),
    ]


def test_sheets_of_kept_dropped_and_no_images(tmp_path: Path):
    rows = [selection_row(f"k{index}", creator=HOSTILE) for index in range(6)]
    rows += [selection_row("f0", "face"), selection_row("gone", "face"), selection_row("broken", "photographer_cap")]
    images = {f"k{index}": jpeg(index) for index in range(6)}
    images |= {"f0": jpeg(9), "broken": b"\xff\xd8\xff" + b"no image" * 9}
    arguments = make_inputs(tmp_path, rows, images, {"f0": [(8, 8, 40, 40, 0.9)]})
    names = ["kept", "face", "photographer_cap", "not_sampled"]
    for run in ("first", "second"):
        main([*arguments, *(str(tmp_path / run / f"{name}.png") for name in names)])
    pictures = {name: Image.open(tmp_path / "first" / f"{name}.png") for name in names}
    for name in names:
        content = (tmp_path / "first" / f"{name}.png").read_bytes()
        assert content == (tmp_path / "second" / f"{name}.png").read_bytes()
        assert set(pictures[name].info) == {"Description"}
    assert [pictures[name].info["Description"] for name in names] == [
        "4 of 6, drawn by lot",
        "all 2; faces blurred",
        "all 1; faces blurred",
        "no images",
    ]
    assert pictures["not_sampled"].height < pictures["face"].height < pictures["kept"].height


def test_faces_are_hidden_on_dropped_images_only():
    content = jpeg(3, 120, 120)
    boxes = [Box(30, 30, 90, 90, 0.9)]
    place = (24, 24, 96, 96)
    tiles = {
        sheet: make_tile(Pick("a", "0", "", ""), content, boxes, sheet, 120).thumbnail
        for sheet in ("kept", "near_duplicate")
    }
    assert detail(tiles["near_duplicate"].crop(place)) < 0.05 * detail(tiles["kept"].crop(place))
    assert tiles["near_duplicate"].crop((0, 0, 120, 20)).tobytes() == tiles["kept"].crop((0, 0, 120, 20)).tobytes()


@pytest.mark.parametrize("size", [(1, 1), (30, 9), (40, 30), (128, 96)])
def test_a_hidden_face_of_any_size_keeps_no_detail(size: tuple[int, int]):
    image = noise(*size)
    hidden = hide_faces(image, [Box(-50, -50, 500, 500, 1.0)], 1.0, people_expected=False)
    assert hidden.size == image.size
    assert len(hidden.getcolors()) == 1 or detail(hidden) < 0.15 * detail(image)


def test_a_box_just_under_the_floor_is_left_alone():
    image = noise()
    box = Box(10, 10, 40, 40, FACE_FLOOR)
    assert hide_faces(image, [box], 1.0, people_expected=False).tobytes() != image.tobytes()
    under = Box(10, 10, 40, 40, FACE_FLOOR - 0.001)
    assert hide_faces(image, [under], 1.0, people_expected=False).tobytes() == image.tobytes()


@pytest.mark.parametrize(("score", "whole"), [(None, True), (0.3, True), (0.49, True), (0.5, False), (0.9, False)])
def test_the_whole_picture_is_coarse_where_people_are_expected_and_no_sure_face_explains_it(
    score: float | None, whole: bool
):
    image = noise()
    boxes = [] if score is None else [Box(2, 2, 12, 12, score)]
    corner = (40, 30, 64, 48)
    result = hide_faces(image, boxes, 1.0, people_expected=True)
    assert (result.crop(corner).tobytes() != image.crop(corner).tobytes()) == whole
    if whole:
        assert detail(result) < 0.4 * detail(image)


def test_boxes_are_enlarged_by_30_percent_scaled_and_cut_to_the_picture():
    assert enlarged(Box(20, 20, 40, 60, 1), 1.0, (100, 100)) == (17, 14, 44, 67)
    assert enlarged(Box(20, 20, 40, 60, 1), 0.5, (50, 50)) == (8, 7, 22, 34)
    assert enlarged(Box(-20, 90, 300, 400, 1), 1.0, (100, 100)) == (0, 43, 100, 100)
    left, top, right, bottom = enlarged(Box(200, 200, 201, 201, 1), 1.0, (100, 100))
    assert 0 <= left < right <= 100 and 0 <= top < bottom <= 100


def test_coarse_keeps_the_mean_colour():
    image = noise(60, 60)
    assert np.asarray(coarse(image, 3)).mean() == pytest.approx(np.asarray(image).mean(), abs=1.5)


def test_the_sample_depends_on_the_seed_and_the_ids_alone(tmp_path: Path):
    rows = [selection_row(f"k{index:03d}") for index in range(200)]
    settings = ContactSheetSettings(images=10, columns=5, thumbnail=64, seed=0)
    picked = pick_images(write_selection(tmp_path / "a.parquet", rows), ["kept"], settings)[0]
    more = [*reversed(rows), *(selection_row(f"x{index}", "face") for index in range(50))]
    again = pick_images(write_selection(tmp_path / "b.parquet", more), ["kept"], settings)[0]
    assert picked.total == 200 and len(picked.picks) == 10
    assert [pick.image_id for pick in picked.picks] == [pick.image_id for pick in again.picks]
    other = pick_images(tmp_path / "a.parquet", ["kept"], settings.model_copy(update={"seed": 1}))[0]
    assert {pick.image_id for pick in other.picks} != {pick.image_id for pick in picked.picks}


def test_a_person_tagged_in_the_metadata_is_hidden_where_no_detector_found_one():
    pick = Pick("a", "0", "evidence", "creator")
    tagged = make_tile(pick, jpeg(1), [], "tagged_person", 64).thumbnail
    changed = make_tile(pick, jpeg(1), [], "thumbnail_differs", 64).thumbnail
    assert tagged is not None and changed is not None
    assert detail(tagged) < 0.4 * detail(changed)


def test_missing_bytes_and_broken_images_get_a_tile_that_says_so():
    pick = Pick("a", "0", "evidence", "creator")
    assert make_tile(pick, None, [], "face", 64).note == "its bytes are not in the part's tar"
    broken = make_tile(pick, jpeg(1)[:200], [], "face", 64)
    assert broken.thumbnail is None and broken.note.startswith("does not decode: ")


def test_captions_are_plain_text():
    tile = make_tile(Pick("a", "0", "", HOSTILE), jpeg(1), [], "kept", 64)
    assert tile.credit == "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>evil [31m line two"
    assert make_tile(Pick("the id", "0", "", ""), jpeg(1), [], "kept", 64).credit == "the id"


def test_texts_are_cut_and_broken_to_the_tile():
    font = load_font(10)
    assert fit_text("short", font, 100) == "short"
    cut = fit_text("a long name without an end", font, 60)
    assert cut.endswith("…") and font.getlength(cut) <= 60
    lines = wrap_text("retinaface_mobilenet 0.93 >= 0.5", font, 128)
    assert len(lines) == 2 and all(font.getlength(line) <= 128 for line in lines)


def test_tiles_lie_in_rows_from_the_left():
    red = Tile(Image.new("RGB", (64, 64), (255, 0, 0)), "", "", "x")
    sheet = draw_sheet("heading", [red] * 4, columns=3, thumbnail=64)
    assert sheet.getpixel((12, 42)) == sheet.getpixel((10 + 2 * 74, 45)) == (255, 0, 0)
    assert sheet.getpixel((10 + 3 * 74 + 5, 45)) == GROUND


def test_a_small_image_is_not_enlarged():
    tile = make_tile(Pick("a", "0", "", ""), jpeg(1, 20, 10), [], "kept", 64)
    assert tile.thumbnail is not None and tile.thumbnail.size == (20, 10)


def test_unknown_sheet_and_missing_part_are_said(tmp_path: Path):
    arguments = make_inputs(tmp_path, [selection_row("k0", part="1")], {"k0": jpeg(1)}, {})
    with pytest.raises(UserError, match="names sheet_of_paper; expected kept or a reason"):
        main([*arguments, str(tmp_path / "sheet_of_paper.png")])
    with pytest.raises(UserError, match=r"images of part 1, but --tars names no 1\.tar"):
        main([*arguments, str(tmp_path / "kept.png")])
