"""Sets in COCO's JSON (cocodataset.org/#format-data): boxes, outlines and keypoints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.evaluate.annotations.pictures import WHERE, LeftOut, Listing, Picture, Thing
from scripts.evaluate.items import TEST, TRAIN, existing, named_paths, split_of
from scripts.evaluate.settings_annotated import CocoTask
from scripts.lib.errors import UserError
from scripts.lib.reasons import AnnotationReason as Reason

_WHAT = "COCO's JSON with `images`, `annotations` and `categories`"


def folders(task: CocoTask, paths: Sequence[str]) -> dict[str, Path]:
    """Return the folder of each split's images."""
    named = named_paths(task, paths)
    images = existing(task, "images", named["images"], "the folder of pictures", WHERE)
    return {TRAIN: images, TEST: named.get("test_images", images)}


def list_pictures(task: CocoTask, paths: Sequence[str]) -> Listing:
    """Return the pictures of both splits with their annotations.

    Raises:
        UserError: a file is missing or has another form, or the splits have other classes.
    """
    named = named_paths(task, paths)
    files = {TRAIN: named["train"], **({TEST: named["test"]} if "test" in named else {})}
    if len(files) == 2 and files[TRAIN] == files[TEST]:
        raise UserError(
            f"train and test of {WHERE}.{task.name} are the same file, {files[TRAIN]}; write `test: {{test_share: ..., "
            "seed: ...}` to split one"
        )
    for split, path in files.items():
        existing(task, split, path, _WHAT, WHERE)
    listings = {split: _one_file(task, split, path) for split, path in files.items()}
    first = listings[TRAIN]
    for split, other in listings.items():
        if (other.classes, other.keypoints) != (first.classes, first.keypoints):
            raise UserError(f"{files[split]} has other categories than {files[TRAIN]} (task {task.name})")
    return Listing(
        [picture for each in listings.values() for picture in each.pictures],
        first.classes,
        first.keypoints,
        [lost for each in listings.values() for lost in each.lost],
    )


def _read(task: CocoTask, path: Path) -> tuple[list[Any], list[Any], list[Any]]:
    try:
        content = json.loads(path.read_bytes())
        found = content["images"], content["annotations"], content["categories"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} of {WHERE}.{task.name} cannot be used ({error!r}); expected is {_WHAT}") from None
    if not all(isinstance(each, list) and all(isinstance(item, dict) for item in each) for each in found):
        raise UserError(f"{path} of {WHERE}.{task.name} is not {_WHAT}: each must be a list of objects")
    return found


def _one_file(task: CocoTask, split: str, path: Path) -> Listing:
    images, annotations, categories = _read(task, path)
    try:
        names = {each["id"]: str(each["name"]) for each in sorted(categories, key=lambda each: each["id"])}
        pictures: dict[Any, Picture] = {}
        for image in images:
            name = task.image_prefix + Path(str(image["file_name"])).name
            side = split if isinstance(task.test, str) else split_of(name, task.test)
            pictures[image["id"]] = Picture(side, name, (int(image["width"]), int(image["height"])))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"an entry of `images` or `categories` of {path} ({WHERE}.{task.name}) lacks a field or has a wrong one "
            f"({error!r}); images need id, file_name, width and height, categories need id and name"
        ) from None
    named = {tuple(map(str, each["keypoints"])) for each in categories if each.get("keypoints")}
    if len(named) > 1:
        raise UserError(f"the categories of {path} ({WHERE}.{task.name}) have different keypoints; give those of one")
    keypoints = [name for names_of_one in named for name in names_of_one]
    lost = []
    for number, each in enumerate(annotations):
        identity = str(each.get("id", f"number {number}"))
        picture = pictures.get(_key(each.get("image_id")))
        if picture is None:
            lost.append(LeftOut(split, "", identity, Reason.UNKNOWN_IMAGE, f"image_id {each.get('image_id')!r}"))
        else:
            picture.things.append(_thing(each, identity, names))
    return Listing(list(pictures.values()), list(names.values()), keypoints, lost)


def _key(value: Any) -> int | str | None:
    return value if isinstance(value, int | str) else None


def _thing(annotation: dict[str, Any], identity: str, names: dict[Any, str]) -> Thing:
    return Thing(
        identity,
        names.get(_key(annotation.get("category_id"))),
        annotation.get("bbox"),
        annotation.get("area"),
        bool(annotation.get("iscrowd", 0)),
        annotation.get("segmentation"),
        annotation.get("keypoints"),
    )
