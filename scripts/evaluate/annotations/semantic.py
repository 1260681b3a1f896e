"""Pictures with a mask of class numbers each, such as VOC's SegmentationClass."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scripts.evaluate.annotations.pictures import WHERE, Listing, Picture
from scripts.evaluate.items import TEST, TRAIN, existing, named_paths, split_of
from scripts.evaluate.settings_annotated import SemanticTask
from scripts.lib.errors import UserError

MASKS = "masks"


def folders(task: SemanticTask, paths: Sequence[str]) -> dict[str, Path]:
    """Return the folder of images of each split, and of masks."""
    named = named_paths(task, paths)
    images = existing(task, "images", named["images"], "the folder of pictures", WHERE)
    masks = existing(task, "masks", named["masks"], "the folder of PNG masks", WHERE)
    return {TRAIN: images, TEST: images, MASKS: masks}


def list_pictures(task: SemanticTask, paths: Sequence[str]) -> Listing:
    """Return the pictures of the lists, or of all masks, each with the name of its mask.

    Raises:
        UserError: a folder or list is missing, or a stem is in both splits.
    """
    named, masks = named_paths(task, paths), folders(task, paths)[MASKS]
    found = sorted(path.stem for path in masks.glob("*.png"))
    test = _stems(task, "test", named["test"]) if "test" in named else None
    if test is None and not isinstance(task.test, str):
        test = [stem for stem in found if split_of(stem, task.test) == TEST]
    listed = _stems(task, "train_list", named["train_list"]) if "train_list" in named else None
    known = set(test or ())
    train = [stem for stem in found if stem not in known] if listed is None else listed
    if both := known.intersection(train):
        raise UserError(f"{len(both)} pictures of {WHERE}.{task.name} are in both splits, such as {min(both)}")
    return Listing(
        [
            Picture(split, f"{task.image_prefix}{stem}.jpg", None, mask=f"{stem}.png")
            for split, stems in ((TRAIN, train), (TEST, test or []))
            for stem in stems
        ],
        [str(number) for number in range(task.classes)],
    )


def _stems(task: SemanticTask, field: str, path: Path) -> list[str]:
    text = existing(task, field, path, "a text file with one stem on each line", WHERE).read_text(encoding="utf-8")
    return [line.strip() for line in text.splitlines() if line.strip()]
