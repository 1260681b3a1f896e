"""CIFAR-10 and CIFAR-100 in their Python form: pickles, of which only numbers, texts and arrays are let in."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from scripts.evaluate.items import TEST, TRAIN
from scripts.evaluate.layouts.labelled import Labelled, LayoutError
from scripts.lib.images import Pixels

_ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("_codecs", "encode"),
}
_TEN, _HUNDRED = "cifar-10-batches-py", "cifar-100-python"
_SIDE = 32


class _Arrays(pickle.Unpickler):
    """A reader of pickles that builds arrays and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """Refuse whatever an array does not need: a pickle can name any function of this machine."""
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no array needs")
        return super().find_class(module, name)


def read_batch(path: Path) -> dict[str, Any]:
    """Return the content of one file.

    Raises:
        LayoutError: it is missing, damaged, or asks for more than arrays.
    """
    try:
        with path.open("rb") as file:
            content = _Arrays(file, encoding="latin1").load()
    except (OSError, pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, ImportError) as error:
        raise LayoutError(f"{path} cannot be read ({error})") from None
    if not isinstance(content, dict):
        raise LayoutError(f"{path} holds no dictionary")
    return content


def cifar10(root: Path) -> Iterator[Labelled]:
    """CIFAR-10."""
    batches = [(TRAIN, f"{_TEN}/data_batch_{number}") for number in range(1, 6)] + [(TEST, f"{_TEN}/test_batch")]
    return _labelled(root, batches, "labels", f"{_TEN}/batches.meta", "label_names")


def cifar100(root: Path) -> Iterator[Labelled]:
    """CIFAR-100, 100 fine labels."""
    batches = [(split, f"{_HUNDRED}/{split}") for split in (TRAIN, TEST)]
    return _labelled(root, batches, "fine_labels", f"{_HUNDRED}/meta", "fine_label_names")


def _labelled(
    root: Path, batches: list[tuple[str, str]], field: str, meta: str, names_field: str
) -> Iterator[Labelled]:
    names = read_batch(root / meta).get(names_field) or []
    for split, batch in batches:
        labels = read_batch(root / batch).get(field) or []
        for index, label in enumerate(labels):
            if not isinstance(label, int) or not 0 <= label < len(names):
                raise LayoutError(f"{root / batch} has the label {label!r}; there are {len(names)} names")
            yield Labelled(split, f"{batch}/{index}", (names[label],))


class ArrayReader:
    """Reads `<batch>/<index>`; a batch is held once it was asked for (30 to 150 MB)."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._batches: dict[str, Pixels] = {}

    def read(self, name: str) -> Pixels:
        """Return the pixels [32, 32, 3] of an image.

        Raises:
            LayoutError: the batch has no such image.
        """
        batch, _, index = name.rpartition("/")
        if batch not in self._batches:
            data = np.asarray(read_batch(self._root / batch).get("data"))
            if data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3 * _SIDE**2:
                raise LayoutError(f"{self._root / batch} holds no images of {_SIDE} x {_SIDE} pixels")
            self._batches[batch] = data.reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1)
        if int(index) >= len(self._batches[batch]):
            raise LayoutError(f"{self._root / batch} has {len(self._batches[batch])} images and no number {index}")
        return np.ascontiguousarray(self._batches[batch][int(index)])
