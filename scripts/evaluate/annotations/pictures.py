"""Pictures with what is marked on them, before and after they are checked.

A thing that cannot be used is left out with a reason, and costs nothing but itself. In the table `PICTURES` the things
of a picture are the JSON of a list of objects with the keys `label` (from 1; 0 is the background), `box` (x, y, width,
height in pixels), `area`, `crowd` (0 or 1: neither trained on nor counted as missed), and, where they are known,
`segmentation` (polygons, or run lengths as COCO writes them) and `keypoints` (x, y, visibility of each).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from scripts.evaluate.items import TEST, TRAIN
from scripts.evaluate.settings_annotated import AnnotatedBase
from scripts.lib.errors import UserError
from scripts.lib.images import FORMATS, orientation_of
from scripts.lib.reasons import AnnotationReason as Reason

WHERE = "evaluate.finetuned.tasks"
POLYGON_NUMBERS = 6  # three points
TURNED = (5, 6, 7, 8)  # EXIF orientations that exchange width and height


@dataclass(frozen=True)
class Thing:
    """One annotation as its file says it."""

    identity: str
    class_name: str | None  # None: a class that the file does not list
    box: Any  # x, y, width, height in pixels
    area: Any = None  # None: of the box
    crowd: bool = False
    segmentation: Any = None
    keypoints: Any = None


@dataclass
class Picture:
    """One picture as its annotations say it."""

    split: str
    name: str
    size: tuple[int, int] | None  # width, height as the annotations say; None: they say nothing
    things: list[Thing] = field(default_factory=list)
    mask: str = ""


@dataclass
class Listing:
    """What a kind of task finds."""

    pictures: list[Picture]
    classes: list[str]  # in the order of their labels 1, 2, ...
    keypoints: list[str] = field(default_factory=list)  # their names
    lost: list[LeftOut] = field(default_factory=list)  # annotations of pictures that are not listed


@dataclass(frozen=True, order=True)
class LeftOut:
    """A row of `LEFT_OUT_COLUMNS`."""

    split: str
    image: str
    annotation: str  # "" for the whole picture
    reason: str
    detail: str


def image_size(path: Path) -> tuple[tuple[int, int] | None, str]:
    """Return (width, height) of a picture as it is meant to be seen, or None and the reason."""
    if not path.is_file():
        return None, Reason.MISSING_IMAGE
    try:
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            return ((height, width) if orientation_of(image) in TURNED else (width, height)), ""
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None, Reason.UNREADABLE_IMAGE


def _numbers(values: Any, least: int) -> bool:
    return (
        isinstance(values, Sequence)
        and not isinstance(values, str)
        and len(values) >= least
        and all(isinstance(each, int | float) and math.isfinite(each) for each in values)
    )


def _outline_fits(outline: Any, size: tuple[int, int]) -> bool:
    """Return whether a segmentation can be drawn: polygons of three points or more, or run lengths of this size."""
    if isinstance(outline, dict):
        return outline.get("size") == [size[1], size[0]] and isinstance(outline.get("counts"), list | str)
    return (
        isinstance(outline, list)
        and bool(outline)
        and all(_numbers(each, POLYGON_NUMBERS) and len(each) % 2 == 0 for each in outline)
    )


def checked_thing(
    thing: Thing, size: tuple[int, int], labels: dict[str, int], keypoints: int
) -> tuple[dict[str, Any] | None, str, str]:
    """Return a thing as the table holds it, or None with a reason and a detail.

    Args:
        thing: as its file says it.
        size: width and height of the picture.
        labels: class name → label.
        keypoints: that each thing must have; 0 where keypoints are not asked for.
    """
    if thing.class_name is None or thing.class_name not in labels:
        return None, Reason.UNKNOWN_CLASS, str(thing.class_name)
    reason, detail = _box_problem(thing, size)
    if not reason and thing.segmentation is not None and not _outline_fits(thing.segmentation, size):
        reason, detail = Reason.BAD_OUTLINE, str(thing.segmentation)[:60]
    given = thing.keypoints if thing.keypoints is not None or not thing.crowd else [0] * (3 * keypoints)
    if not reason and keypoints and not (_numbers(given, 3 * keypoints) and len(given) == 3 * keypoints):
        reason, detail = Reason.BAD_NUMBERS, f"{keypoints} keypoints expected"
    if reason:
        return None, reason, detail
    left, top, right, bottom = _inside(thing.box, size)
    found: dict[str, Any] = {"label": labels[thing.class_name], "crowd": int(thing.crowd)}
    found["box"] = [left, top, right - left, bottom - top]
    found["area"] = thing.area if thing.area is not None else thing.box[2] * thing.box[3]
    if thing.segmentation is not None:
        found["segmentation"] = thing.segmentation
    if keypoints:
        found["keypoints"] = given
    return found, "", ""


def _inside(box: Sequence[float], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of the part of a box that lies in the picture."""
    x, y, width, height = box
    return max(0.0, x), max(0.0, y), min(float(size[0]), x + width), min(float(size[1]), y + height)


def _box_problem(thing: Thing, size: tuple[int, int]) -> tuple[str, str]:
    if not _numbers(thing.box, 4) or len(thing.box) != 4:
        return Reason.BAD_NUMBERS, f"box {thing.box!r}"
    if thing.area is not None and not _numbers([thing.area], 1):
        return Reason.BAD_NUMBERS, f"area {thing.area!r}"
    left, top, right, bottom = _inside(thing.box, size)
    if not (thing.box[2] > 0 and thing.box[3] > 0 and right > left and bottom > top):
        return Reason.NO_AREA, f"box {thing.box!r} in a picture of {size[0]} x {size[1]}"
    return "", ""


def refuse_empty(task: AnnotatedBase, splits: Sequence[str], facts: dict[str, Any]) -> None:
    """Stop where there is nothing to train on or to test.

    Raises:
        UserError: a split is empty, or no class is known.
    """
    for split in (TRAIN, TEST):
        if split not in splits:
            raise UserError(
                f"no picture of the {split} split of {WHERE}.{task.name} can be used: {facts['pictures']['read']} were "
                "found. The table of what was left out, beside the listing, gives a reason for each; most often the "
                "folder of images, or the prefix of the file names, is wrong"
            )
    if not facts["classes"]:
        raise UserError(f"the annotations of {WHERE}.{task.name} name no class")
