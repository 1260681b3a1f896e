"""ImageNet's "real" labels: which classes each validation image shows, as people saw it (Beyer et al. 2020).

Their publisher (github.com/google-research/reassessed-imagenet) gives `real.json`: a list for each validation image in
the order of the numbers in their names, of class numbers in the sorted order of the WordNet ids; an empty one where
people agreed on nothing. It is downloaded by the user, nothing of it is here.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from scripts.evaluate.items import TEST, TRAIN, Item, existing
from scripts.evaluate.settings_tasks import TaskBase
from scripts.lib.errors import UserError

log = logging.getLogger(__name__)
NUMBER = re.compile(r"ILSVRC2012_val_(\d{8})(?:_n\d+)?\.\w+$")  # some copies append the WordNet id


def with_real_labels(task: TaskBase, items: Sequence[Item], path: Path) -> list[Item]:
    """Return the images, those of the test split with the real labels as what they accept.

    Raises:
        UserError: the file is missing, is not the publisher's, or is of other images.
    """
    labels = _read(task, existing(task, "real_labels", path, "real.json of google-research/reassessed-imagenet"))
    names = sorted({item.class_name for item in items if item.split == TRAIN})
    highest = max((label for each in labels for label in each), default=-1)
    if highest + 1 != len(names):
        raise UserError(
            f"{path} (key `real_labels` of the task {task.name}) numbers {highest + 1} classes and the train split has "
            f"{len(names)}: these labels are of the whole ImageNet-1k, 1,000 classes"
        )
    found = [_accepting(task, item, labels, names) if item.split == TEST else item for item in items]
    judged = sum(item.split == TEST and bool(item.accepted) for item in found)
    log.info("real labels: %d of %d test images have any", judged, sum(item.split == TEST for item in found))
    return found


def _accepting(task: TaskBase, item: Item, labels: list[list[int]], names: list[str]) -> Item:
    match = NUMBER.search(item.name)
    if match is None or not 1 <= int(match[1]) <= len(labels):
        raise UserError(
            f"the test image {item.name} of the task {task.name} has no place among the {len(labels)} real labels "
            "(key `real_labels`), which go by the number in ILSVRC2012_val_<number>; keep the publisher's names"
        )
    return replace(item, accepted=tuple(names[label] for label in labels[int(match[1]) - 1]))


def _read(task: TaskBase, path: Path) -> list[list[int]]:
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} (key `real_labels` of the task {task.name}) cannot be read as JSON ({error})"
        ) from None
    whole = isinstance(content, list) and all(
        isinstance(each, list) and all(type(label) is int and label >= 0 for label in each) for each in content
    )
    if not whole:
        raise UserError(
            f"{path} (key `real_labels` of the task {task.name}) is not a list of lists of class numbers, as "
            "real.json of google-research/reassessed-imagenet is; download it again"
        )
    labels: list[list[int]] = content
    return labels
