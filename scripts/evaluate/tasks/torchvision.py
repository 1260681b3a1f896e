"""Published labelled sets by name, in the folders that `torchvision.datasets` makes when it downloads them.

Only the layout is torchvision's: nothing is downloaded, torch is not needed, and pickles are read as arrays alone.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from scripts.evaluate.items import TRAIN, Item, drawn_splits, existing, named_paths
from scripts.evaluate.layouts import cifar, several, single
from scripts.evaluate.layouts.labelled import Labelled, LayoutError
from scripts.evaluate.real_labels import with_real_labels
from scripts.evaluate.settings_tasks import TorchvisionTask
from scripts.lib.accounting import account_for
from scripts.lib.errors import UserError
from scripts.lib.images import Pixels

log = logging.getLogger(__name__)

Layout = Callable[[Path], Iterator[Labelled]]

LAYOUTS: dict[str, tuple[Layout, str]] = {  # how it is read, and how to get it
    "caltech101": (single.caltech101, "torchvision.datasets.Caltech101(root, download=True)"),
    "cifar10": (cifar.cifar10, "torchvision.datasets.CIFAR10(root, download=True)"),
    "cifar100": (cifar.cifar100, "torchvision.datasets.CIFAR100(root, download=True)"),
    "coco2017": (several.coco2017, "cocodataset.org: train2017.zip, val2017.zip, annotations_trainval2017.zip"),
    "dtd": (single.dtd, "torchvision.datasets.DTD(root, download=True)"),
    "eurosat": (single.eurosat, "torchvision.datasets.EuroSAT(root, download=True)"),
    "fgvc_aircraft": (single.fgvc_aircraft, "torchvision.datasets.FGVCAircraft(root, download=True)"),
    "flowers102": (single.flowers102, "torchvision.datasets.Flowers102(root, download=True)"),
    "food101": (single.food101, "torchvision.datasets.Food101(root, download=True)"),
    "imagenet": (single.imagenet, "torchvision.datasets.ImageNet(root, split), which unpacks image-net.org's archives"),
    "oxford_iiit_pet": (single.oxford_iiit_pet, "torchvision.datasets.OxfordIIITPet(root, download=True)"),
    "places205": (single.places205, "places.csail.mit.edu: images256 and trainvalsplit_places205"),
    "places365": (single.places365, "torchvision.datasets.Places365(root, small=True, download=True)"),
    "voc2007": (
        several.voc2007,
        "torchvision.datasets.VOCDetection(root, '2007', image_set), trainval and test",
    ),
    "voc2012": (several.voc2012, "torchvision.datasets.VOCDetection(root, '2012', 'trainval')"),
}
ARRAYS = ("cifar10", "cifar100")  # pictures that are no files


def list_items(task: TorchvisionTask, paths: Sequence[str]) -> list[Item]:
    """Return the labelled images of a published set. An image of several labels has them all as accepted.

    Raises:
        UserError: the root is missing, or is not laid out as torchvision does.
    """
    root = _root(task, paths)
    layout, _ = LAYOUTS[task.dataset]
    try:
        found = list(layout(root))
    except LayoutError as error:
        raise _misplaced(task, root, str(error)) from None
    repeated = [name for name, times in Counter(each.name for each in found).items() if times > 1]
    if repeated:
        raise _misplaced(task, root, f"{len(repeated)} images are listed twice, the first is {repeated[0]}")
    account = account_for(len(found), ("" if each.classes or each.ignored else "no_label" for each in found))
    if account["rejected"]:
        log.info("%d images listed, %d of them without any label are left out", account["read"], account["rejected"]["no_label"])  # fmt: skip  # noqa: E501
    counts = Counter(name for each in found for name in each.classes)
    items = [_item(task, root, each, counts) for each in _split(task, found) if each.classes or each.ignored]
    real = named_paths(task, paths).get("real_labels")
    return items if real is None else with_real_labels(task, items, real)


def _split(task: TorchvisionTask, found: list[Labelled]) -> list[Labelled]:
    """Return the images with a split; where the set has none of its own, the task's."""
    if task.test is None:
        return found
    drawn = drawn_splits({each.name: each.classes[0] for each in found}, task.test)
    account = account_for(len(found), ("" if drawn[each.name] else "beyond_test_per_class" for each in found))
    log.info("split by lot: %d images, left out %s", account["read"], account["rejected"] or "none")
    return [each._replace(split=drawn[each.name]) for each in found if drawn[each.name]]


def _item(task: TorchvisionTask, root: Path, each: Labelled, counts: Counter[str]) -> Item:
    """Return an item; of several labels the rarest stands for the image, so that parts of the set hold rare classes."""
    split = each.split or TRAIN
    first = min(each.classes or each.ignored, key=lambda name: (counts[name], name))
    accepted = tuple(sorted(each.classes)) if len(each.classes) != 1 else None
    if task.dataset in ARRAYS:
        return Item(split, each.name, first, -1, 0, accepted)
    try:
        size = (root / each.name).stat().st_size
    except OSError as error:
        raise _misplaced(task, root, f"{root / each.name} is listed and cannot be reached ({error.strerror})") from None
    return Item(split, each.name, first, -1, size, accepted, each.ignored)


def _root(task: TorchvisionTask, paths: Sequence[str]) -> Path:
    what = f"{task.dataset} ({LAYOUTS[task.dataset][1]})"
    return existing(task, "root", named_paths(task, paths)["root"], what)


def _misplaced(task: TorchvisionTask, root: Path, problem: str) -> UserError:
    return UserError(
        f"the labelled set {task.dataset} of the task {task.name} is not whole, or not laid out as expected, below "
        f"{root} (key `root` of the task): {problem}. Expected is what {LAYOUTS[task.dataset][1]} leaves there"
    )


class _Reader:
    def __init__(self, task: TorchvisionTask, root: Path) -> None:
        self._task, self._root = task, root
        self._arrays = cifar.ArrayReader(root) if task.dataset in ARRAYS else None

    def read(self, item: Item) -> bytes | Pixels:
        """Return the file's bytes, or the pixels where the set has no files."""
        if self._arrays is None:
            return (self._root / item.name).read_bytes()
        try:
            return self._arrays.read(item.name)
        except LayoutError as error:
            raise _misplaced(self._task, self._root, str(error)) from None


def open_reader(task: TorchvisionTask, paths: Sequence[str]) -> _Reader:
    """Return a reader of the listed images."""
    return _Reader(task, _root(task, paths))
