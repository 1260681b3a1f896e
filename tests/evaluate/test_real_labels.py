"""ImageNet's "real" labels from a file that the user downloads; here a made one of three classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from scripts.evaluate.embed import label_tensors
from scripts.evaluate.list_task import list_task
from scripts.evaluate.scores import result_rows
from scripts.lib.errors import UserError
from scripts.lib.tables import RESULT_COLUMNS
from tests.evaluate import made_sets
from tests.evaluate.test_list_task import settings_of

CLASSES = ["n01", "n02", "n03"]
# By the number of the image: the second shows a class that its folder does not say, the third two, the fourth none.
LABELS = [[0], [2], [1, 2], []]
IN_FOLDER = {1: "n01", 2: "n01", 3: "n02", 4: "n03"}


@pytest.fixture
def imagenet(tmp_path: Path) -> Path:
    for number, name in enumerate(CLASSES):
        made_sets.write(tmp_path, f"train/{name}/{name}_1.JPEG", made_sets.picture(number))
    for number, name in IN_FOLDER.items():
        made_sets.write(tmp_path, f"val/{name}/ILSVRC2012_val_{number:08d}.JPEG", made_sets.picture(number))
    (tmp_path / "real.json").write_text(json.dumps(LABELS))
    return tmp_path


def rows_of(root: Path, kind: str) -> list[dict[str, Any]]:
    real = str(root / "real.json")
    if kind == "torchvision":
        settings = settings_of(kind, dataset="imagenet", root="", test=None, real_labels="")
        return list_task(settings, [str(root), real]).to_pylist()
    settings = settings_of(kind, train="", test="", real_labels="")
    return list_task(settings, [str(root / "train"), str(root / "val"), real]).to_pylist()


@pytest.mark.parametrize("kind", ["torchvision", "image_folder"])
def test_test_images_accept_their_real_labels(imagenet: Path, kind: str):
    rows = rows_of(imagenet, kind)
    found = {int(Path(row["name"]).stem[-8:]): row["accepted"] for row in rows if row["split"] == "test"}
    assert found == {1: [0], 2: [2], 3: [1, 2], 4: []}
    assert [row["accepted"] for row in rows if row["split"] == "train"] == [[0], [1], [2]]
    # An encoder that says what the folder says is right on images 1 and 3 of the three that have a real label.
    tensors, several = label_tensors(rows, 3)
    assert not several
    test = tensors["test_labels"]
    results = result_rows(("r", "t", "p", ""), test, test, tensors["train_labels"], tensors["test_accepted"])
    figures = {row[3]: (row[4], row[5]) for row in results}
    assert RESULT_COLUMNS[3:6] == ("metric", "value", "n")
    assert figures == {"top1": ("100.0000", "4"), "mean_per_class": ("100.0000", "4"), "real_top1": ("66.6667", "3")}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[[0], [1]", r"cannot be read as JSON"),
        ('{"0": [1]}', r"is not a list of lists of class numbers, as real\.json of google-research"),
        ("[[0], [1.5]]", "is not a list of lists"),
        ("[[0], [1], [2]]", r"ILSVRC2012_val_00000004\.JPEG of the task toy has no place among the 3 real labels"),
        ("[[0], [4], [1], [2]]", r"numbers 5 classes and the train split has 3"),
    ],
)
def test_another_file_is_refused(imagenet: Path, content: str, words: str):
    (imagenet / "real.json").write_text(content)
    with pytest.raises(UserError, match=words):
        rows_of(imagenet, "torchvision")


def test_a_missing_file_is_named(imagenet: Path):
    (imagenet / "real.json").unlink()
    with pytest.raises(
        UserError, match=r"nothing at .*real\.json \(key `real_labels`.*Put real\.json of google-research"
    ):
        rows_of(imagenet, "image_folder")


def test_renamed_images_are_refused(imagenet: Path):
    (imagenet / "val/n01/ILSVRC2012_val_00000001.JPEG").rename(imagenet / "val/n01/1.JPEG")
    with pytest.raises(UserError, match=r"n01/1\.JPEG of the task toy has no place.*keep the publisher's names"):
        rows_of(imagenet, "image_folder")


def test_they_are_imagenets():
    with pytest.raises(ValidationError, match="they are ImageNet's, and dtd has none"):
        settings_of("torchvision", dataset="dtd", root="", test=None, real_labels="")
