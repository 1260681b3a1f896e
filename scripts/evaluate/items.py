"""Labelled images, before they have numbers: what a kind of task lists and reads, and where its data lie."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar, Protocol, TypeVar

from scripts.evaluate.settings_split import HashSplit, PerClassSplit
from scripts.evaluate.settings_tasks import ImageFolderTask, TarTask, TaskBase
from scripts.lib.draws import rank
from scripts.lib.errors import UserError
from scripts.lib.images import Pixels

log = logging.getLogger(__name__)

Place = TypeVar("Place")  # whatever the caller needs to find the file again

TRAIN, TEST = "train", "test"

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
# Pictures that `decode_image` does not read. A labelled set must be whole, so they are an error and not passed over.
FOREIGN_SUFFIXES = (".avif", ".bmp", ".gif", ".heic", ".jp2", ".pgm", ".ppm", ".tif", ".tiff")


@dataclass(frozen=True)
class Item:
    """One labelled image; the columns of `TASK_ITEMS` but the labels' numbers."""

    split: str  # TRAIN or TEST
    name: str  # relative to the split's data
    class_name: str
    offset: int  # in the tar; -1 for files and generated images
    size: int  # bytes; 0 for generated images
    # Classes that the image has, or that count as right answers, where these are other than `class_name` alone. Several
    # on a train image make a task of several labels; on test images alone they are "real" labels.
    accepted: tuple[str, ...] | None = None
    ignored: tuple[str, ...] = ()  # classes for which the image counts neither as right nor as wrong: VOC's difficult

    @property
    def accepted_names(self) -> tuple[str, ...]:
        """Names of all classes that the image has."""
        return (self.class_name,) if self.accepted is None else self.accepted


class WithPaths(Protocol):
    """An entry of the config whose data lie outside."""

    path_fields: ClassVar[tuple[str, ...]]

    @property
    def name(self) -> str:
        """Name of the entry."""
        ...


class Reader(Protocol):
    """Reads the images of a task; `read` is called from several threads."""

    def read(self, item: Item) -> bytes | Pixels:
        """Return the bytes of the image's file, or its pixels where it is generated."""
        ...


def named_paths(task: WithPaths, paths: Iterable[str]) -> dict[str, Path]:
    """Return the paths of a step's flag `--paths` by the names of the task's fields that they are the values of.

    Raises:
        UserError: as many paths as the task has path fields were expected.
    """
    fields = [field for field in task.path_fields if isinstance(getattr(task, field), str)]
    given = [path for path in paths if path]
    if len(given) != len(fields):
        expected = ", ".join(fields) or "none"
        raise UserError(
            f"--paths of the task {task.name} has {len(given)} values where {len(fields)} are expected ({expected}); "
            "give the values of these keys of the task in this order"
        )
    return dict(zip(fields, map(Path, given), strict=True))


def existing(task: WithPaths, field: str, path: Path, what: str, where: str = "evaluate.tasks") -> Path:
    """Return `path` when it is there.

    Raises:
        UserError: it is not; `what` says what belongs there.
    """
    if not path.exists():
        raise UserError(
            f"the labelled set of the task {task.name} is missing: there is nothing at {path} (key `{field}` of that "
            f"entry of {where}). Put {what} there, change the key, or take the task out of the config"
        )
    return path


def split_data(task: TaskBase, paths: Iterable[str], what: str) -> dict[str, Path]:
    """Return the existing data of the train split and, where it has its own, of the test split.

    Raises:
        UserError: they are missing (`what` says what belongs there), or both splits have the same.
    """
    named = {field: path for field, path in named_paths(task, paths).items() if field in (TRAIN, TEST)}
    data = {field: existing(task, field, path, what) for field, path in named.items()}
    if TEST in data and data[TRAIN].samefile(data[TEST]):
        raise UserError(
            f"train and test of the task {task.name} are the same, {data[TRAIN]}; name two, or write "
            "`test: {test_share: ..., seed: ...}` to split one by a hash"
        )
    return data


def data_of(item: Item, paths: dict[str, Path]) -> Path:
    """Return the folder or tar that holds an image: that of its split, or the only one when a hash splits it."""
    return paths.get(item.split, paths[TRAIN])


def split_of(name: str, split: HashSplit) -> str:
    """Return the split of an image by a hash of its name alone, so that added images move no other."""
    place = int(rank(split.seed, "task split", name)[:16], 16) / 2**64
    return TEST if place < split.test_share else TRAIN


def drawn_splits(classes: Mapping[str, str], split: HashSplit | PerClassSplit) -> dict[str, str | None]:
    """Return the split of each image; `classes` are those of the images by name. None: in neither.

    Drawn within a class by a hash of each name: of two counts, the images of the smaller are among those of the larger.
    """
    if isinstance(split, HashSplit):
        return {name: split_of(name, split) for name in classes}
    members: defaultdict[str, list[str]] = defaultdict(list)
    for name, class_name in classes.items():
        members[class_name].append(name)
    found: dict[str, str | None] = dict.fromkeys(classes)
    for names in members.values():
        names.sort(key=lambda name: rank(split.seed, "task split", name))
        first = split.train_per_class or round((split.train_share or 0) * len(names))
        last = len(names) if split.test_per_class is None else first + split.test_per_class
        found.update(dict.fromkeys(names[:first], TRAIN))
        found.update(dict.fromkeys(names[first:last], TEST))
    return found


def class_of(task: TaskBase, name: str) -> str | None:
    """Return the class of `<class>/.../<file>`, None for what is not a labelled image (hidden, or not a picture).

    Raises:
        UserError: a picture outside the class folders, of a format that the project does not read, or of a name that is
            not UTF-8 and so cannot be hashed or written to a table.
    """
    parts = PurePosixPath(name).parts
    if any(part.startswith(".") for part in parts):
        return None
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in FOREIGN_SUFFIXES:
        raise UserError(
            f"the image {name} of the task {task.name} is a {suffix} file; only {', '.join(SUFFIXES)} are read. "
            "Convert it, or take it out of the labelled set"
        )
    if suffix not in SUFFIXES:
        return None
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise UserError(f"the name {name!a} of an image of the task {task.name} is not UTF-8; rename it") from None
    if len(parts) < 2:
        raise UserError(
            f"the image {name} of the task {task.name} lies in no class folder; `<class>/<file>` is expected"
        )
    return parts[0]


def foreign_files(names: Iterable[str]) -> str:
    """Return a text for the log on files that are passed over, by suffix: "3 .txt, 1 .csv"; "" for none."""
    counts = Counter(PurePosixPath(name).suffix.lower() or "without suffix" for name in names)
    return ", ".join(f"{count} {suffix}" for suffix, count in sorted(counts.items()))


def in_class_folders(
    task: ImageFolderTask | TarTask, split: str, path: Path, files: Iterable[tuple[str, Place]]
) -> Iterator[tuple[str, str, str, Place]]:
    """Yield (split, name, class, place) of the labelled images among `files` (name, place) of `path`; log the others.

    Raises:
        UserError: see `class_of`.
    """
    passed_over = []
    for name, place in files:
        class_name = class_of(task, name)
        if class_name is None:
            passed_over.append(name)
            continue
        yield split if isinstance(task.test, str) else split_of(name, task.test), name, class_name, place
    if passed_over:
        log.info("passed over in %s: %s", path, foreign_files(passed_over))
