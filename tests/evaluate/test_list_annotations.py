from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from scripts.evaluate import list_annotations
from scripts.evaluate.annotations.pictures import Thing, checked_thing
from scripts.lib.errors import UserError
from tests.evaluate.made_dense import coco_task, made_set, write_json

LABELS = {"cat": 1, "dog": 2}
FULL = [30.0, 20.0, 60.0, 40.0]
OUTLINE = [[30, 20, 90, 20, 90, 60]]


def listed(folder: Path, task: dict[str, Any], *paths: Path) -> tuple[list[dict], dict, list[list[str]]]:
    """Run the step; return rows, facts and what was left out."""
    arguments = ["--recipe", json.dumps({"task": task}), "--paths", *map(str, paths)]
    arguments += ["--out", str(folder / "p.parquet"), "--facts", str(folder / "p.json")]
    list_annotations.main([*arguments, "--left-out", str(folder / "p.csv")])
    rows = pq.read_table(folder / "p.parquet").to_pylist()
    with (folder / "p.csv").open(newline="") as handle:
        return rows, json.loads((folder / "p.json").read_text()), list(csv.reader(handle))[1:]


@pytest.mark.parametrize(
    ("thing", "reason"),
    [
        (Thing("1", "cat", FULL), ""),
        (Thing("1", "bird", FULL), "unknown_class"),
        (Thing("1", None, FULL), "unknown_class"),
        (Thing("1", "cat", [30, 20, 0, 40]), "no_area"),
        (Thing("1", "cat", [30, 20, -5, 40]), "no_area"),
        (Thing("1", "cat", [100, 20, 5, 40]), "no_area"),  # right of the picture
        (Thing("1", "cat", [99, 79, 5, 40]), ""),  # a corner lies in it
        (Thing("1", "cat", [30, 20, float("nan"), 40]), "bad_numbers"),
        (Thing("1", "cat", [30, 20, 40]), "bad_numbers"),
        (Thing("1", "cat", "30 20 60 40"), "bad_numbers"),
        (Thing("1", "cat", None), "bad_numbers"),
        (Thing("1", "cat", FULL, area="big"), "bad_numbers"),
        (Thing("1", "cat", FULL, segmentation=OUTLINE), ""),
        (Thing("1", "cat", FULL, segmentation=[]), "bad_outline"),
        (Thing("1", "cat", FULL, segmentation=[[30, 20, 90, 20]]), "bad_outline"),
        (Thing("1", "cat", FULL, segmentation={"size": [80, 100], "counts": [8000]}), ""),
        (Thing("1", "cat", FULL, segmentation={"size": [100, 80], "counts": [8000]}), "bad_outline"),
    ],
)
def test_a_thing_is_kept_or_has_a_reason(thing: Thing, reason: str):
    found, why, detail = checked_thing(thing, (100, 80), LABELS, 0)
    assert why == reason
    assert (found is None) == bool(reason) == bool(detail)


def test_boxes_are_cut_at_the_edge_and_keep_the_area_that_was_given():
    found, _, _ = checked_thing(Thing("1", "dog", [-10, 70, 50, 50], area=700), (100, 80), LABELS, 0)
    assert found == {"label": 2, "crowd": 0, "box": [0.0, 70.0, 40.0, 10.0], "area": 700}


def test_keypoints_must_be_complete_where_they_are_asked_for():
    good = Thing("1", "cat", FULL, keypoints=[1, 2, 2] * 17)
    assert checked_thing(good, (100, 80), LABELS, 17)[0] is not None
    assert checked_thing(Thing("1", "cat", FULL, keypoints=[1, 2, 2]), (100, 80), LABELS, 17)[1] == "bad_numbers"
    assert checked_thing(Thing("1", "cat", FULL), (100, 80), LABELS, 17)[1] == "bad_numbers"
    crowd, _, _ = checked_thing(Thing("1", "cat", FULL, crowd=True), (100, 80), LABELS, 17)
    assert crowd is not None and crowd["keypoints"] == [0] * 51  # COCO's crowds have none


def test_what_is_wrong_costs_itself_and_is_listed(tmp_path: Path):
    content = made_set(tmp_path)
    (tmp_path / "images" / "5.png").unlink()
    (tmp_path / "images" / "4.png").write_bytes(b"no picture")
    content["images"][3]["width"] = 79
    content["annotations"][0]["bbox"][2] = 0
    content["annotations"].append({"id": 99, "image_id": 12345, "category_id": 10, "bbox": FULL})
    content["categories"].append({"id": 7, "name": "never"})
    train, test = write_json(tmp_path / "a.json", content), write_json(tmp_path / "b.json", made_set(tmp_path / "t"))
    content_test = json.loads(test.read_text())
    content_test["categories"].append({"id": 7, "name": "never"})
    write_json(test, content_test)
    task = coco_task(test_images="t")
    rows, facts, left = listed(tmp_path, task, train, tmp_path / "images", test, tmp_path / "t" / "images")
    assert [(row["split"], row["name"]) for row in rows] == [
        *(("test", f"{n}.png") for n in range(6)), *(("train", f"{n}.png") for n in range(3)),
    ]  # fmt: skip
    reasons = {(row[1], row[3]) for row in left}
    assert reasons >= {
        ("5.png", "missing_image"), ("4.png", "unreadable_image"), ("3.png", "size_differs"), ("0.png", "no_area"),
        ("", "unknown_image"), ("", "class_without_instance"),
    }  # fmt: skip
    assert facts["classes"] == ["never", "a", "b"]  # by their numbers
    assert facts["pictures"]["rejected"] == {"missing_image": 1, "size_differs": 1, "unreadable_image": 1}
    account = facts["annotations"]
    assert account["read"] == account["kept"] + sum(account["rejected"].values())
    assert account["rejected"]["no_area"] == account["rejected"]["unknown_image"] == 1


def test_a_picture_of_both_splits_is_no_test_picture(tmp_path: Path):
    content = made_set(tmp_path)
    files = [write_json(tmp_path / f"{name}.json", content) for name in "ab"]
    with pytest.raises(UserError, match="no picture of the test split"):
        listed(tmp_path, coco_task(), files[0], tmp_path / "images", files[1])
    assert {row.split(",")[3] for row in (tmp_path / "p.csv").read_text().splitlines()[1:]} >= {"repeated_image"}


def test_one_file_is_split_by_a_hash_and_limits_take_the_first_by_rank(tmp_path: Path):
    train = write_json(tmp_path / "a.json", made_set(tmp_path, pictures=30))
    task = coco_task(test={"test_share": 0.4, "seed": 1})
    rows, _, _ = listed(tmp_path, task, train, tmp_path / "images")
    sizes = [sum(row["split"] == split for row in rows) for split in ("train", "test")]
    assert sum(sizes) == 30 and min(sizes) > 5
    fewer, _, _ = listed(tmp_path, {**task, "max_train": 3, "max_test": 2}, train, tmp_path / "images")
    assert len(fewer) == 5 and all(row in rows for row in fewer)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "cannot be used"),
        ('{"images": [], "annotations": []}', "cannot be used"),
        ('{"images": 3, "annotations": [], "categories": []}', "must be a list"),
        ('{"images": [{"id": 1}], "annotations": [], "categories": []}', "lacks a field"),
    ],
)
def test_a_file_of_another_form_is_one_paragraph(tmp_path: Path, content: str, told: str):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(UserError, match=told):
        listed(tmp_path, coco_task(test={"test_share": 0.5, "seed": 0}), tmp_path / "a.json", tmp_path)


def test_voc_counts_from_one_and_difficult_things_do_not_count(tmp_path: Path):
    year = tmp_path / "VOC2007"
    for name in ("ImageSets/Main", "Annotations", "JPEGImages"):
        (year / name).mkdir(parents=True)
    for stem in ("000001", "000002"):
        Image.fromarray(np.zeros((50, 60, 3), np.uint8)).save(year / "JPEGImages" / f"{stem}.jpg")
        (year / "Annotations" / f"{stem}.xml").write_text(
            "<annotation><object><name>dog</name><difficult>0</difficult><bndbox><xmin>11</xmin><ymin>6</ymin>"
            "<xmax>20</xmax><ymax>25</ymax></bndbox></object><object><name>cat</name><difficult>1</difficult><bndbox>"
            "<xmin>1</xmin><ymin>1</ymin><xmax>60</xmax><ymax>50</ymax></bndbox></object>"
            "<object><name>cat</name><bndbox><xmin>x</xmin></bndbox></object></annotation>"
        )
    (year / "ImageSets/Main/trainval.txt").write_text("000001\n")
    (year / "ImageSets/Main/test.txt").write_text("000002\n")
    task = {"name": "t", "max_train": None, "max_test": None, "seed": 0, "kind": "voc", "root": "",
            "train_sets": ["VOC2007/trainval"], "test_sets": ["VOC2007/test"]}  # fmt: skip
    rows, facts, left = listed(tmp_path, task, tmp_path)
    things = json.loads(rows[0]["objects"])
    assert [thing["box"] for thing in things] == [[10, 5, 10, 20], [0, 0, 60, 50]]
    assert [thing["crowd"] for thing in things] == [0, 1]
    assert len(facts["classes"]) == 20 and things[0]["label"] == facts["classes"].index("dog") + 1
    assert ["train", "VOC2007/JPEGImages/000001.jpg", "2", "bad_numbers"] in [row[:4] for row in left]
    with pytest.raises(UserError, match="VOC2012/test"):
        listed(tmp_path, {**task, "test_sets": ["VOC2012/test"]}, tmp_path)


def test_the_sample_of_coco_lists_whole(tmp_path: Path, shared: Path):
    split = {"test_share": 0.3, "seed": 0}
    task = coco_task(test=split, image_prefix="coco_")
    for name, things in (("instances", 470), ("person_keypoints", 99)):
        _, facts, _ = listed(tmp_path, task, shared / f"coco/{name}_train2017.json", shared / "photos")
        assert facts["pictures"] == {"read": 50, "kept": 50, "rejected": {}}
        assert facts["annotations"] == {"read": things, "kept": things, "rejected": {}}
    yolo = {"name": "t", "max_train": None, "max_test": None, "seed": 0, "kind": "yolo", "labels": "", "images": "",
            "image_prefix": "coco_", "classes": 80, "test": split}  # fmt: skip
    _, facts, _ = listed(tmp_path, yolo, shared / "coco/labels", shared / "photos")
    assert facts["pictures"]["rejected"] == {"missing_image": 2}
    masks = {"name": "t", "max_train": None, "max_test": None, "seed": 0, "kind": "semantic", "images": "", "masks": "",
             "image_prefix": "coco_", "classes": 201, "ignore": 0, "train_list": None, "test": split}  # fmt: skip
    _, facts, _ = listed(tmp_path, masks, shared / "photos", shared / "coco/masks")
    assert facts["pictures"] == {"read": 100, "kept": 100, "rejected": {}}
