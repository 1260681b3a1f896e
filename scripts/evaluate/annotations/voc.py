"""Pascal VOC's folder (VOCdevkit): lists in ImageSets/Main, boxes in Annotations, pictures in JPEGImages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as Xml

from scripts.evaluate.annotations.pictures import WHERE, LeftOut, Listing, Picture, Thing
from scripts.evaluate.items import TEST, TRAIN, existing, named_paths
from scripts.evaluate.settings_annotated import VocTask
from scripts.evaluate.voc_classes import VOC_CLASSES
from scripts.lib.errors import UserError
from scripts.lib.reasons import AnnotationReason as Reason


def folders(task: VocTask, paths: Sequence[str]) -> dict[str, Path]:
    """Return the folder that the names of both splits start from."""
    root = existing(task, "root", named_paths(task, paths)["root"], "VOCdevkit", WHERE)
    return {TRAIN: root, TEST: root}


def list_pictures(task: VocTask, paths: Sequence[str]) -> Listing:
    """Return the pictures of the named sets with their boxes; difficult ones do not count, as in VOC's own figures.

    Raises:
        UserError: a list is missing.
    """
    root = folders(task, paths)[TRAIN]
    listing = Listing([], list(VOC_CLASSES))
    for split, sets in ((TRAIN, task.train_sets), (TEST, task.test_sets)):
        for each in sets:
            year, _, name = each.partition("/")
            listed = root / year / "ImageSets" / "Main" / f"{name}.txt"
            if not listed.is_file():
                raise UserError(
                    f"the set {each} of {WHERE}.{task.name} is missing: there is no {listed}. A set is "
                    "`<year folder>/<list>`, such as VOC2007/trainval"
                )
            for line in listed.read_text(encoding="utf-8").split("\n"):
                if stem := line.split()[:1]:
                    listing.pictures.append(_picture(root, year, split, stem[0], listing.lost))
    return listing


def _picture(root: Path, year: str, split: str, stem: str, lost: list[LeftOut]) -> Picture:
    picture = Picture(split, f"{year}/JPEGImages/{stem}.jpg", None)
    try:
        content = (root / year / "Annotations" / f"{stem}.xml").read_bytes()
        if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
            raise ValueError("it declares entities")  # VOC's files have none, and they could expand without end
        tree = Xml.fromstring(content)  # noqa: S314
    except (OSError, Xml.ParseError, ValueError) as error:
        lost.append(LeftOut(split, picture.name, "all", Reason.BAD_NUMBERS, f"{stem}.xml: {error}"))
        return picture
    for number, node in enumerate(tree.findall("object")):
        corners = [node.findtext(f"bndbox/{key}", "") for key in ("xmin", "ymin", "xmax", "ymax")]
        try:
            left, top, right, bottom = map(float, corners)
            box: object = [left - 1, top - 1, right - left + 1, bottom - top + 1]  # VOC counts pixels from 1
        except ValueError:
            box = corners
        difficult = node.findtext("difficult", "0").strip() == "1"
        picture.things.append(Thing(f"{number}", node.findtext("name", "").strip(), box, crowd=difficult))
    return picture
