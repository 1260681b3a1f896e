"""List the images of a labelled set with their splits and labels.

Labels are the positions of the train split's class names in sorted order. Where the config asks for a part of a split,
it is class-balanced and seeded: what a smaller part holds, a larger one holds too. Where it asks for that, test images
that look like a train image are left out first.
"""

from __future__ import annotations

import importlib
import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from scripts.evaluate.items import TEST, TRAIN, Item, Reader
from scripts.evaluate.settings import ListTaskSettings, TwinSettings
from scripts.evaluate.settings_tasks import TaskBase
from scripts.evaluate.twins import looks_of, twins
from scripts.evaluate.views import load_pixels
from scripts.lib.accounting import account_for
from scripts.lib.draws import rank
from scripts.lib.errors import UserError
from scripts.lib.files import table_of, write_csv, write_table
from scripts.lib.flags import output_file, outside_data
from scripts.lib.recipe import read_recipe
from scripts.lib.step import run_step, step_parser
from scripts.lib.tables import LEFT_OUT_COLUMNS, TASK_ITEMS

log = logging.getLogger(__name__)
NEAR_TRAIN = "near_duplicate_of_train"


def class_labels(task: TaskBase, items: Sequence[Item]) -> dict[str, int]:
    """Return the label of each class: its place among the sorted class names of the train split.

    Raises:
        UserError: a split is empty, there are fewer than two classes, or a test class has no train image.
    """
    for split in (TRAIN, TEST):
        if not any(item.split == split for item in items):
            raise UserError(
                f"the {split} split of the task {task.name} is empty: {len(items)} images were found, none in it. "
                "Correct the paths of the task, or its `test_share` when a hash splits it"
            )
    found = {split: {name for item in items if item.split == split for name in _names(item)} for split in (TRAIN, TEST)}
    names = sorted(found[TRAIN])
    unknown = sorted(found[TEST] - found[TRAIN])
    if unknown:
        raise UserError(
            f"{len(unknown)} classes of the test split of the task {task.name} have no train image, the first is "
            f"{unknown[0]!r}; both splits must have the same class names (a hash split of very small classes can do "
            "this: change its seed or share)"
        )
    if len(names) < 2:
        raise UserError(
            f"the task {task.name} has one class, {names[0]!r}; at least two are needed. Expected are class folders "
            "directly in the folder or tar, or a label column with several values"
        )
    return {name: label for label, name in enumerate(names)}


def _names(item: Item) -> set[str]:
    return {item.class_name, *item.accepted_names, *item.ignored}


def quotas(counts: Mapping[str, int], total: int) -> dict[str, int]:
    """Share `total` images among classes as evenly as their `counts` allow.

    What a small class cannot give, the larger ones share; what does not divide goes to the first classes by name. The
    quotas of a larger total are nowhere smaller.
    """
    given = dict.fromkeys(counts, 0)
    left = min(total, sum(counts.values()))
    while left:
        open_classes = [name for name in sorted(counts) if given[name] < counts[name]]
        each = left // len(open_classes)
        if each == 0:
            for name in open_classes[:left]:
                given[name] += 1
            return given
        for name in open_classes:
            share = min(each, counts[name] - given[name])
            given[name] += share
            left -= share
    return given


def balanced_part(items: Sequence[Item], total: int | None, seed: int) -> list[Item]:
    """Return a class-balanced part of one split of `total` images, all of them when it has no more or total is None."""
    if total is None or len(items) <= total:
        return list(items)
    classes: defaultdict[str, list[Item]] = defaultdict(list)
    for item in items:
        classes[item.class_name].append(item)
    quota = quotas({name: len(members) for name, members in classes.items()}, total)
    part = []
    for name, members in classes.items():
        members.sort(key=lambda item: rank(seed, f"task {item.split} part", item.name))
        part.extend(members[: quota[name]])
    return part


def task_rows(task: TaskBase, items: Sequence[Item]) -> list[dict[str, Any]]:
    """Return the rows of `TASK_ITEMS`, sorted by (split, label, name).

    Raises:
        UserError: the set cannot be used (see `class_labels`), or `max_train` leaves a class out.
    """
    labels = class_labels(task, items)
    if task.max_train is not None and task.max_train < len(labels):
        raise UserError(
            f"max_train of the task {task.name} is {task.max_train}, but it has {len(labels)} classes and each needs a "
            f"train image; set it to {len(labels)} or more"
        )
    parts = {
        TRAIN: balanced_part([item for item in items if item.split == TRAIN], task.max_train, task.seed),
        TEST: balanced_part([item for item in items if item.split == TEST], task.max_test, task.seed),
    }
    chosen = {id(item) for part in parts.values() for item in part}
    account = account_for(len(items), ("" if id(item) in chosen else f"beyond_max_{item.split}" for item in items))
    log.info("%d images found, %d listed, left out %s", account["read"], account["kept"], account["rejected"] or "none")
    rows = [
        {
            "split": item.split,
            "name": item.name,
            "label": labels[item.class_name],
            "class_name": item.class_name,
            "offset": item.offset,
            "size": item.size,
            "accepted": sorted({labels[name] for name in item.accepted_names}),
            "ignored": sorted({labels[name] for name in item.ignored}),
        }
        for part in parts.values()
        for item in part
    ]
    return sorted(rows, key=lambda row: (row["split"], row["label"], row["name"]))


def without_twins(
    task: TaskBase, items: Sequence[Item], reader: Reader, settings: TwinSettings
) -> tuple[list[Item], list[tuple[str, ...]]]:
    """Return the images without those of the test split that look like a train image, and rows of what was left out.

    Raises:
        UserError: an image cannot be decoded.
    """
    parts = [[item for item in items if item.split == split] for split in (TRAIN, TEST)]
    train, test = (looks_of(load_pixels(item, reader, task) for item in part) for part in parts)
    found = twins(train, test, settings).tolist()
    like = {item.name: parts[0][place].name for item, place in zip(parts[1], found, strict=True) if place >= 0}
    kept = [item for item in items if item.split == TRAIN or item.name not in like]
    names = {(item.split, item.name) for item in kept}
    account = account_for(len(items), ("" if (item.split, item.name) in names else NEAR_TRAIN for item in items))
    shown = "; ".join(f"{test} like {train}" for test, train in sorted(like.items())[:3])
    log.info("near duplicates of train images among the test images: %s (%s)", account["rejected"] or "none", shown)
    return kept, [(TEST, name, "", NEAR_TRAIN, f"looks like {other}") for name, other in sorted(like.items())]


def items_of(settings: ListTaskSettings, paths: Sequence[str]) -> tuple[list[Item], list[tuple[str, ...]]]:
    """Return the images of a task and rows of `LEFT_OUT_COLUMNS`; `paths` are the values of its path fields."""
    task = settings.task
    kind = importlib.import_module(f"scripts.evaluate.tasks.{task.kind}")
    items: list[Item] = kind.list_items(task, paths)
    if settings.near_duplicates is None:
        return items, []
    return without_twins(task, items, kind.open_reader(task, paths), settings.near_duplicates)


def list_task(settings: ListTaskSettings, paths: Sequence[str]) -> pa.Table:
    """Return the table `TASK_ITEMS` of a task; `paths` are the values of its path fields that are texts, in order."""
    return table_of(task_rows(settings.task, items_of(settings, paths)[0]), TASK_ITEMS)


def _log_counts(table: pa.Table) -> None:
    counts = Counter(zip(table["split"].to_pylist(), table["class_name"].to_pylist(), strict=True))
    classes = {name for _, name in counts}
    for split in (TRAIN, TEST):
        sizes = [counts[split, name] for name in sorted(classes)]
        log.info("%s: %d images, %d classes of %d to %d", split, sum(sizes), len(sizes), min(sizes), max(sizes))
        if min(sizes) == 0:
            log.warning("%d classes have no %s image", sizes.count(0), split)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="JSON of ListTaskSettings")
    parser.add_argument(
        "--paths", nargs="*", default=[], type=outside_data, help="values of the task's path keys, in order"
    )
    parser.add_argument("--out", required=True, type=output_file, help="the table of labelled images (Parquet)")
    parser.add_argument("--left-out", required=True, type=output_file, help="near duplicates that were left out (CSV)")
    options = parser.parse_args(argv)
    settings = read_recipe(ListTaskSettings, options.recipe)
    items, left_out = items_of(settings, options.paths)
    table = table_of(task_rows(settings.task, items), TASK_ITEMS)
    _log_counts(table)
    write_csv(options.left_out, LEFT_OUT_COLUMNS, left_out)
    write_table(options.out, table)
    log.info("wrote %s and %s", options.out, options.left_out)


if __name__ == "__main__":
    run_step(main)
