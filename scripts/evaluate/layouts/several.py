"""Sets in which an image has several labels, or none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts.evaluate.items import TEST, TRAIN
from scripts.evaluate.layouts.labelled import Labelled, LayoutError, check_name, read_json, read_pairs
from scripts.evaluate.voc_classes import VOC_CLASSES


def voc2007(root: Path) -> Iterator[Labelled]:
    """Pascal VOC 2007 classification: trainval and test. Classes whose objects are all difficult (0) are ignored."""
    return _voc(root, "VOC2007", "trainval", "test")


def voc2012(root: Path) -> Iterator[Labelled]:
    """Pascal VOC 2012 classification: train and val, because the labels of test are not published."""
    return _voc(root, "VOC2012", "train", "val")


def _voc(root: Path, year: str, train: str, test: str) -> Iterator[Labelled]:
    base = f"VOCdevkit/{year}"
    for split, listed in ((TRAIN, train), (TEST, test)):
        found: dict[str, dict[str, list[str]]] = {}
        for name in VOC_CLASSES:
            for image, value in read_pairs(root / base / f"ImageSets/Main/{name}_{listed}.txt"):
                found.setdefault(image, {"1": [], "0": []}).setdefault(value, []).append(name)
        for image, classes in found.items():
            name = check_name(f"{base}/JPEGImages/{image}.jpg")
            yield Labelled(split, name, tuple(classes["1"]), tuple(classes["0"]))


def coco2017(root: Path) -> Iterator[Labelled]:
    """COCO 2017 as 80 labels: which categories have an object in the image that is no crowd. val is the test split."""
    for split, year in ((TRAIN, "train2017"), (TEST, "val2017")):
        path = root / f"annotations/instances_{year}.json"
        content = read_json(path)
        try:
            yield from _coco(split, year, content)
        except (KeyError, TypeError) as error:
            raise LayoutError(f"{path} is not COCO's file of instances ({error!r})") from None


def _coco(split: str, folder: str, content: Any) -> Iterator[Labelled]:
    names = {category["id"]: category["name"] for category in content["categories"]}
    found: dict[int, set[str]] = {image["id"]: set() for image in content["images"]}
    for each in content["annotations"]:
        if not each.get("iscrowd"):
            found[each["image_id"]].add(names[each["category_id"]])
    for image in content["images"]:
        yield Labelled(split, check_name(f"{folder}/{image['file_name']}"), tuple(sorted(found[image["id"]])))
