"""Published labelled sets in miniature, laid out as torchvision leaves them."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image


def picture(number: int, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (12, 10, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def write(root: Path, name: str, content: bytes | str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def write_lines(root: Path, name: str, lines: list[str]) -> None:
    write(root, name, "".join(f"{line}\n" for line in lines))


def cifar(root: Path, hundred: bool = False) -> None:
    """Five batches of three images, or one; the picture of image n is n everywhere in red."""
    base, names = ("cifar-100-python", "fine_label_names") if hundred else ("cifar-10-batches-py", "label_names")
    batches = ["train", "test"] if hundred else [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    for place, batch in enumerate(batches):
        data = np.zeros((3, 3072), dtype=np.uint8)
        data[:, :1024] = (10 * place + np.arange(3))[:, None]
        data[:, 2048] = 99  # blue, first row, first column
        labels = {"fine_labels" if hundred else "labels": [0, 1, 2], "data": data, "filenames": ["x"] * 3}
        write(root, f"{base}/{batch}", pickle.dumps(labels, protocol=2))
    write(root, f"{base}/{'meta' if hundred else 'batches.meta'}", pickle.dumps({names: ["plane", "car", "bird"]}, 2))


def flowers102(root: Path) -> None:
    labels = np.array([[3, 1, 2, 3, 1, 2, 3, 1]], dtype=np.uint8)
    splits = {"trnid": [[1, 2]], "valid": [[3]], "tstid": [[4, 5, 6, 7, 8]]}
    for number in range(1, 9):
        write(root, f"flowers-102/jpg/image_{number:05d}.jpg", picture(number))
    scipy.io.savemat(root / "flowers-102/imagelabels.mat", {"labels": labels})
    scipy.io.savemat(root / "flowers-102/setid.mat", {name: np.array(ids) for name, ids in splits.items()})


def dtd(root: Path) -> None:
    names = {"train": ["banded/a.jpg", "dotted/b.jpg"], "val": ["banded/c.jpg"], "test": ["dotted/d.jpg"]}
    for split, files in names.items():
        write_lines(root, f"dtd/dtd/labels/{split}1.txt", files)
        for number, name in enumerate(files):
            write(root, f"dtd/dtd/images/{name}", picture(number))


def oxford_iiit_pet(root: Path) -> None:
    listed = {"trainval": ["Abyssinian_1", "american_bulldog_2"], "test": ["american_bulldog_3", "Abyssinian_4"]}
    for split, names in listed.items():
        write_lines(root, f"oxford-iiit-pet/annotations/{split}.txt", [f"{name} 1 1 1" for name in names])
        for number, name in enumerate(names):
            write(root, f"oxford-iiit-pet/images/{name}.jpg", picture(number))


def fgvc_aircraft(root: Path) -> None:
    base = "fgvc-aircraft-2013b/data"
    listed = {"trainval": ["0000001 Cessna Citation", "0000002 707-320"], "test": ["0000003 707-320"]}
    for split, lines in listed.items():
        write_lines(root, f"{base}/images_variant_{split}.txt", lines)
        for line in lines:
            write(root, f"{base}/images/{line.split()[0]}.jpg", picture(1))


def food101(root: Path) -> None:
    for split, number in (("train", 1), ("test", 2)):
        names = {label: [f"{label}/{number}"] for label in ("pho", "apple_pie")}
        write(root, f"food-101/meta/{split}.json", json.dumps(names))
        for label in names:
            write(root, f"food-101/images/{label}/{number}.jpg", picture(number))


def class_folders(root: Path, base: str, classes: list[str], count: int = 12) -> None:
    for label in classes:
        for number in range(count):
            write(root, f"{base}/{label}/{label}_{number}.jpg", picture(number))


def places(root: Path) -> None:
    write_lines(root, "categories_places365.txt", ["/a/airfield 0", "/b/bar 1"])
    write_lines(root, "places365_train_standard.txt", ["/a/airfield/1.jpg 0", "/b/bar/2.jpg 1"])
    write_lines(root, "places365_val.txt", ["Places365_val_1.jpg 1"])
    for name in ("data_256_standard/a/airfield/1.jpg", "data_256_standard/b/bar/2.jpg", "val_256/Places365_val_1.jpg"):
        write(root, name, picture(1))


def places205(root: Path) -> None:
    write_lines(root, "train_places205.csv", ["a/abbey/1.jpg 0", "b/bar/2.jpg 1"])
    write_lines(root, "val_places205.csv", ["b/bar/3.jpg 1"])
    for name in ("a/abbey/1.jpg", "b/bar/2.jpg", "b/bar/3.jpg"):
        write(root, f"images256/{name}", picture(1))


def voc(root: Path, classes: tuple[str, ...], year: str = "2007", train: str = "trainval", test: str = "test") -> None:
    """Image 1 has a cat and a dog, 2 a dog, 3 a difficult cat alone, and in test 4 has a cat and a difficult dog."""
    shown = {"cat": {"1": 1, "3": 0, "4": 1}, "dog": {"1": 1, "2": 1, "4": 0}}
    for split, images in ((train, "123"), (test, "4")):
        for label in classes:
            # two blanks before a positive number, as published
            lines = [f"00000{image} {shown.get(label, {}).get(image, -1):>2}" for image in images]
            write_lines(root, f"VOCdevkit/VOC{year}/ImageSets/Main/{label}_{split}.txt", lines)
        for image in images:
            write(root, f"VOCdevkit/VOC{year}/JPEGImages/00000{image}.jpg", picture(1))


def coco2017(root: Path) -> None:
    categories = [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}]
    for year, images in (("train2017", [1, 2, 3]), ("val2017", [4])):
        annotations = [
            {"image_id": image, "category_id": category, "iscrowd": crowd}
            for image, category, crowd in ((1, 18, 0), (1, 1, 0), (1, 1, 0), (2, 1, 0), (3, 1, 1), (4, 18, 0))
            if image in images
        ]
        listed = [{"id": image, "file_name": f"{image:012d}.jpg"} for image in images]
        content = {"categories": categories, "images": listed, "annotations": annotations}
        write(root, f"annotations/instances_{year}.json", json.dumps(content))
        for image in images:
            write(root, f"{year}/{image:012d}.jpg", picture(image))
