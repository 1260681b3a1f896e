"""Sets in which an image has one class. Train is the official train split and, where there is one, validation split."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import scipy.io

from scripts.evaluate.items import TEST, TRAIN
from scripts.evaluate.layouts.labelled import (
    Labelled,
    LayoutError,
    check_name,
    class_folders,
    read_json,
    read_lines,
    read_pairs,
)


def imagenet(root: Path) -> Iterator[Labelled]:
    """ImageNet-1k: `train/<wnid>/`, `val/<wnid>/`; val is the test split."""
    for split, folder in ((TRAIN, "train"), (TEST, "val")):
        for name, label in class_folders(root, folder):
            yield Labelled(split, name, (label,))


def places365(root: Path) -> Iterator[Labelled]:
    """Places365-Standard in its small form, 256 x 256; val is the test split."""
    names = {label: name.strip("/") for name, label in read_pairs(root / "categories_places365.txt")}
    for split, listed, folder in (
        (TRAIN, "places365_train_standard.txt", "data_256_standard"),
        (TEST, "places365_val.txt", "val_256"),
    ):
        for name, label in read_pairs(root / listed):
            if label not in names:
                raise LayoutError(f"{root / listed} has the label {label}, which categories_places365.txt lacks")
            yield Labelled(split, check_name(f"{folder}/{name.lstrip('/')}"), (names[label],))


def places205(root: Path) -> Iterator[Labelled]:
    """Places205, which torchvision does not have: `images256/` and the lists of trainvalsplit_places205."""
    for split, listed in ((TRAIN, "train_places205.csv"), (TEST, "val_places205.csv")):
        for name, label in read_pairs(root / listed):
            if not label.isdigit():
                raise LayoutError(f"{root / listed} has the label {label!r}; a number is expected")
            yield Labelled(split, check_name(f"images256/{name}"), (f"{int(label):03d}",))


def flowers102(root: Path) -> Iterator[Labelled]:
    """Oxford 102 Flowers: labels and splits are in MATLAB files."""
    base = root / "flowers-102"
    labels = _matlab(base / "imagelabels.mat", "labels")
    for split, field in ((TRAIN, "trnid"), (TRAIN, "valid"), (TEST, "tstid")):
        for number in _matlab(base / "setid.mat", field):
            if not 1 <= number <= len(labels):
                raise LayoutError(f"{base / 'setid.mat'} names image {number} of {len(labels)}")
            yield Labelled(split, f"flowers-102/jpg/image_{number:05d}.jpg", (f"{labels[number - 1]:03d}",))


def _matlab(path: Path, field: str) -> list[int]:
    try:
        return [int(value) for value in scipy.io.loadmat(path)[field].ravel()]
    except (OSError, ValueError, TypeError, KeyError, NotImplementedError) as error:
        raise LayoutError(f"{path} cannot be read as a MATLAB file with `{field}` ({error})") from None


def oxford_iiit_pet(root: Path) -> Iterator[Labelled]:
    """Oxford-IIIT Pet, 37 breeds; the breed is in the file's name."""
    for split, listed in ((TRAIN, "trainval.txt"), (TEST, "test.txt")):
        for name, _ in read_pairs(root / "oxford-iiit-pet/annotations" / listed):
            yield Labelled(split, check_name(f"oxford-iiit-pet/images/{name}.jpg"), (name.rpartition("_")[0],))


def dtd(root: Path) -> Iterator[Labelled]:
    """Describable Textures, the first of its ten splits, which is the one that is reported."""
    for split, listed in ((TRAIN, "train1.txt"), (TRAIN, "val1.txt"), (TEST, "test1.txt")):
        for name in read_lines(root / "dtd/dtd/labels" / listed):
            yield Labelled(split, check_name(f"dtd/dtd/images/{name}"), (name.partition("/")[0],))


def fgvc_aircraft(root: Path) -> Iterator[Labelled]:
    """FGVC Aircraft 2013b, 100 variants."""
    data = "fgvc-aircraft-2013b/data"
    for split, listed in ((TRAIN, "images_variant_trainval.txt"), (TEST, "images_variant_test.txt")):
        for name, variant in read_pairs(root / data / listed):
            yield Labelled(split, check_name(f"{data}/images/{name}.jpg"), (variant,))


def food101(root: Path) -> Iterator[Labelled]:
    """Food-101."""
    for split, listed in ((TRAIN, "train.json"), (TEST, "test.json")):
        path = root / "food-101/meta" / listed
        content = read_json(path)
        if not isinstance(content, dict) or not all(isinstance(names, list) for names in content.values()):
            raise LayoutError(f"{path} is not an object of lists of names")
        for label, names in sorted(content.items()):
            for name in names:
                yield Labelled(split, check_name(f"food-101/images/{name}.jpg"), (label,))


def caltech101(root: Path) -> Iterator[Labelled]:
    """Caltech-101 without its background class; no splits of its own."""
    for name, label in class_folders(root, "caltech101/101_ObjectCategories", without=("BACKGROUND_Google",)):
        yield Labelled(None, name, (label,))


def eurosat(root: Path) -> Iterator[Labelled]:
    """EuroSAT in RGB; no splits of its own."""
    for name, label in class_folders(root, "eurosat/2750"):
        yield Labelled(None, name, (label,))
