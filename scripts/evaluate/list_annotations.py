"""List the pictures of a set with boxes, masks or keypoints, and say what of it cannot be used and why.

Every picture and every annotation is either in the table or in the list of what was left out, with a reason.
"""

from __future__ import annotations

import importlib
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from scripts.evaluate.annotations.pictures import LeftOut, Listing, Picture, checked_thing, image_size, refuse_empty
from scripts.evaluate.items import TEST, TRAIN
from scripts.evaluate.settings_annotated import AnnotatedBase, ListAnnotationsSettings
from scripts.lib.accounting import Account, account_for
from scripts.lib.draws import rank
from scripts.lib.files import table_of, write_csv, write_json, write_table
from scripts.lib.flags import output_file, outside_data
from scripts.lib.reasons import AnnotationReason as Reason
from scripts.lib.recipe import canonical_json, read_recipe
from scripts.lib.step import run_step, step_parser
from scripts.lib.tables import LEFT_OUT_COLUMNS, PICTURES

log = logging.getLogger(__name__)


@dataclass
class Checked:
    """What remains of a listing."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)  # a reason for each picture, "" where it is kept
    things: list[str] = field(default_factory=list)  # a reason for each annotation
    used: set[int] = field(default_factory=set)  # labels that the train split has


def mask_problem(path: Path, size: tuple[int, int]) -> tuple[str, str]:
    """Return why a mask cannot be used, ("", "") where it can."""
    try:
        with Image.open(path, formats=("PNG",)) as mask:
            found, mode = mask.size, mask.mode
    except FileNotFoundError:
        return Reason.MISSING_MASK, path.name
    except (OSError, SyntaxError, ValueError) as error:
        return Reason.MISSING_MASK, f"{path.name} cannot be read: {error}"
    if mode not in ("L", "P"):
        return Reason.MISSING_MASK, f"{path.name} is of mode {mode}, L or P are expected: class numbers"
    return ("", "") if found == size else (Reason.SIZE_DIFFERS, f"mask {found}, picture {size}")


def _beyond(task: AnnotatedBase, pictures: Sequence[Picture]) -> set[str]:
    """Return the pictures (split, name) that a limit leaves out: those of high rank."""
    left: set[str] = set()
    for split, most in ((TRAIN, task.max_train), (TEST, task.max_test)):
        own = [each.name for each in pictures if each.split == split]
        if most is not None:
            own.sort(key=lambda name: rank(task.seed, "annotated part", name))
            left.update(f"{split}/{name}" for name in own[most:])
    return left


def _problem(picture: Picture, folder: Path, masks: Path | None, seen: set[str]) -> tuple[tuple[int, int], str, str]:
    """Return the size of a picture, and why it is left out: reason and detail."""
    if (path := str(folder / picture.name)) in seen:
        return (0, 0), Reason.REPEATED_IMAGE, ""
    seen.add(path)
    size, reason = image_size(folder / picture.name)
    if size is None:
        return (0, 0), reason, ""
    if picture.size is not None and picture.size != size:
        return size, Reason.SIZE_DIFFERS, f"annotations {picture.size}, picture {size}"
    if picture.mask and masks is not None:
        return (size, *mask_problem(masks / picture.mask, size))
    return size, "", ""


def check(task: AnnotatedBase, listing: Listing, folders: dict[str, Path]) -> Checked:
    """Return the rows of `PICTURES`, sorted by (split, name), and what was left out."""
    labels = {name: number + 1 for number, name in enumerate(listing.classes)}
    found, seen = Checked(), set[str]()
    beyond = _beyond(task, listing.pictures)
    found.left_out.extend(listing.lost)
    found.things.extend(each.reason for each in listing.lost)
    for picture in listing.pictures:
        if f"{picture.split}/{picture.name}" in beyond:
            size, reason, detail = (0, 0), str(Reason.BEYOND_MAX), ""
        else:
            size, reason, detail = _problem(picture, folders[picture.split], folders.get("masks"), seen)
        found.pictures.append(reason)
        if reason:
            found.left_out.append(LeftOut(picture.split, picture.name, "", reason, detail))
            found.things.extend(str(Reason.IMAGE_LEFT_OUT) for _ in picture.things)
            continue
        objects = list(_objects(picture, size, labels, len(listing.keypoints), found))
        file = folders[picture.split] / picture.name
        width, height = size
        row = {"split": picture.split, "name": picture.name, "mask": picture.mask, "size": file.stat().st_size}
        found.rows.append({**row, "width": width, "height": height, "objects": canonical_json(objects)})
        if picture.split == TRAIN:
            found.used.update(each["label"] for each in objects if not each["crowd"])
    found.rows.sort(key=lambda row: (row["split"], row["name"]))
    found.left_out.sort()
    return found


def _objects(
    picture: Picture, size: tuple[int, int], labels: dict[str, int], keypoints: int, found: Checked
) -> Iterator[dict[str, Any]]:
    for thing in picture.things:
        kept, reason, detail = checked_thing(thing, size, labels, keypoints)
        found.things.append(reason)
        if kept is None:
            found.left_out.append(LeftOut(picture.split, picture.name, thing.identity, reason, detail))
        else:
            yield kept


def list_annotations(task: AnnotatedBase, kind: str, paths: Sequence[str]) -> tuple[Checked, dict[str, Any]]:
    """Return what `check` returns, and what the set says about itself: class names, keypoints, accounts.

    Raises:
        UserError: data are missing, or a split is empty.
    """
    module = importlib.import_module(f"scripts.evaluate.annotations.{kind}")
    listing: Listing = module.list_pictures(task, paths)
    found = check(task, listing, module.folders(task, paths))
    accounts: dict[str, Account] = {
        "pictures": account_for(len(listing.pictures), map(str, found.pictures)),
        "annotations": account_for(
            sum(len(each.things) for each in listing.pictures) + len(listing.lost), map(str, found.things)
        ),
    }
    idle = [name for number, name in enumerate(listing.classes) if number + 1 not in found.used]
    if kind != "semantic":  # whose classes are in the masks
        found.left_out.extend(LeftOut(TRAIN, "", "", Reason.CLASS_WITHOUT_INSTANCE, name) for name in sorted(idle))
    return found, {"classes": listing.classes, "keypoints": listing.keypoints, **accounts}


def _log(facts: dict[str, Any], found: Checked) -> None:
    for what in ("pictures", "annotations"):
        account = facts[what]
        log.info("%s: %d read, %d kept, left out %s", what, *(account[key] for key in ("read", "kept", "rejected")))
    sizes = Counter(row["split"] for row in found.rows)
    log.info("%d train and %d test pictures, %d classes", sizes[TRAIN], sizes[TEST], len(facts["classes"]))
    lost = Counter(str(each.reason) for each in found.left_out if each.split == TEST and not each.annotation)
    lost.pop(Reason.BEYOND_MAX, None)
    if lost:
        log.warning("the test split is not whole (%s): its figures compare with nobody else's", dict(lost))
    if idle := [each.detail for each in found.left_out if each.reason == Reason.CLASS_WITHOUT_INSTANCE]:
        log.warning("%d classes have no instance in the train split, such as %s", len(idle), idle[0])


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="JSON of ListAnnotationsSettings")
    parser.add_argument(
        "--paths", nargs="*", default=[], type=outside_data, help="values of the task's path keys, in order"
    )
    parser.add_argument("--out", required=True, type=output_file, help="the table of pictures (Parquet)")
    parser.add_argument("--facts", required=True, type=output_file, help="classes, keypoints and accounts (JSON)")
    parser.add_argument("--left-out", required=True, type=output_file, help="what was left out, with reasons (CSV)")
    options = parser.parse_args(argv)
    task = read_recipe(ListAnnotationsSettings, options.recipe).task
    found, facts = list_annotations(task, task.kind, options.paths)
    _log(facts, found)
    write_csv(options.left_out, LEFT_OUT_COLUMNS, map(astuple, found.left_out))
    refuse_empty(task, [row["split"] for row in found.rows], facts)
    write_json(options.facts, facts)
    write_table(options.out, table_of(found.rows, PICTURES))
    log.info("wrote %s, %s and %s", options.out, options.facts, options.left_out)


if __name__ == "__main__":
    run_step(main)
