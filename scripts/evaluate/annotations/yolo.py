"""Boxes as text: a file for each picture, a line `class x y width height` for each box, centres and sizes as shares."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scripts.evaluate.annotations.pictures import WHERE, Listing, Picture, Thing, image_size
from scripts.evaluate.items import TEST, TRAIN, existing, named_paths, split_of
from scripts.evaluate.settings_annotated import YoloTask


def folders(task: YoloTask, paths: Sequence[str]) -> dict[str, Path]:
    """Return the folder of images, the same for both splits."""
    images = existing(task, "images", named_paths(task, paths)["images"], "the folder of pictures", WHERE)
    return {TRAIN: images, TEST: images}


def list_pictures(task: YoloTask, paths: Sequence[str]) -> Listing:
    """Return a picture for each text file with its boxes.

    Raises:
        UserError: a folder is missing.
    """
    images = folders(task, paths)[TRAIN]
    labels = existing(task, "labels", named_paths(task, paths)["labels"], "a folder of text files of boxes", WHERE)
    digits = len(str(task.classes - 1))
    names = [f"{number:0{digits}d}" for number in range(task.classes)]
    listing = Listing([], names)
    for file in sorted(labels.glob("*.txt")):
        name = f"{task.image_prefix}{file.stem}.jpg"
        picture = Picture(split_of(name, task.test), name, None)
        listing.pictures.append(picture)
        size = image_size(images / name)[0] or (1, 1)  # a missing one is found again, and left out, by the caller
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines()):
            if line.strip():
                picture.things.append(_thing(line.split(), f"line {number + 1}", size, names))
    return listing


def _thing(fields: list[str], identity: str, size: tuple[int, int], names: list[str]) -> Thing:
    known = names[int(fields[0])] if fields[0].isdecimal() and int(fields[0]) < len(names) else None
    try:
        x, y, width, height = (float(each) for each in fields[1:])
    except ValueError:
        return Thing(identity, known, fields[1:])
    wide, high = width * size[0], height * size[1]
    return Thing(identity, known, [x * size[0] - wide / 2, y * size[1] - high / 2, wide, high])
