"""Published labelled sets by name, on roots made in their layouts."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from torchvision import datasets

from scripts.evaluate.embed import label_tensors
from scripts.evaluate.items import Item
from scripts.evaluate.list_task import list_task
from scripts.evaluate.settings_tasks import TorchvisionTask
from scripts.evaluate.tasks import torchvision
from scripts.evaluate.voc_classes import VOC_CLASSES
from scripts.lib.errors import UserError
from tests.evaluate import made_sets
from tests.evaluate.test_list_task import HALF, settings_of

Rows = list[dict[str, Any]]


def rows_of(dataset: str, root: Path, test: dict[str, Any] | None = None) -> Rows:
    settings = settings_of("torchvision", dataset=dataset, root="", test=test)
    rows: Rows = list_task(settings, [str(root)]).to_pylist()
    reader = torchvision.open_reader(settings.task, [str(root)])  # type: ignore[arg-type]
    for row in rows:
        content = reader.read(Item(row["split"], row["name"], row["class_name"], row["offset"], row["size"]))
        assert len(content) == (row["size"] or 32)  # bytes of a file, or rows of an array
    return rows


def short(rows: Rows) -> list[tuple[str, str, str]]:
    return [(row["split"], Path(row["name"]).name, row["class_name"]) for row in rows]


@pytest.mark.parametrize(
    ("dataset", "make", "expected"),
    [
        (
            "flowers102",
            made_sets.flowers102,
            [
                *(("test", "image_00005.jpg", "001"), ("test", "image_00008.jpg", "001")),
                *(("test", "image_00006.jpg", "002"), ("test", "image_00004.jpg", "003")),
                ("test", "image_00007.jpg", "003"),
                *(("train", "image_00002.jpg", "001"), ("train", "image_00003.jpg", "002")),
                ("train", "image_00001.jpg", "003"),
            ],
        ),
        (
            "dtd",
            made_sets.dtd,
            [
                *(("test", "d.jpg", "dotted"), ("train", "a.jpg", "banded")),
                *(("train", "c.jpg", "banded"), ("train", "b.jpg", "dotted")),
            ],
        ),
        (
            "oxford_iiit_pet",
            made_sets.oxford_iiit_pet,
            [
                *(("test", "Abyssinian_4.jpg", "Abyssinian"), ("test", "american_bulldog_3.jpg", "american_bulldog")),
                *(("train", "Abyssinian_1.jpg", "Abyssinian"), ("train", "american_bulldog_2.jpg", "american_bulldog")),
            ],
        ),
        (
            "fgvc_aircraft",
            made_sets.fgvc_aircraft,
            [
                *(("test", "0000003.jpg", "707-320"), ("train", "0000002.jpg", "707-320")),
                ("train", "0000001.jpg", "Cessna Citation"),
            ],
        ),
        (
            "food101",
            made_sets.food101,
            [
                *(("test", "2.jpg", "apple_pie"), ("test", "2.jpg", "pho")),
                *(("train", "1.jpg", "apple_pie"), ("train", "1.jpg", "pho")),
            ],
        ),
        (
            "places365",
            made_sets.places,
            [("test", "Places365_val_1.jpg", "b/bar"), ("train", "1.jpg", "a/airfield"), ("train", "2.jpg", "b/bar")],
        ),
        (
            "places205",
            made_sets.places205,
            [("test", "3.jpg", "001"), ("train", "1.jpg", "000"), ("train", "2.jpg", "001")],
        ),
    ],
)
def test_official_splits(
    dataset: str, make: Callable[[Path], None], expected: list[tuple[str, str, str]], tmp_path: Path
) -> None:
    make(tmp_path)
    rows = rows_of(dataset, tmp_path)
    assert short(rows) == expected
    assert all(row["accepted"] == [row["label"]] for row in rows)


def test_torchvision_reads_the_same_roots(tmp_path: Path) -> None:
    """What the made roots look like is not our idea alone: torchvision takes them, and gives the same labels."""
    made_sets.dtd(tmp_path)
    made_sets.oxford_iiit_pet(tmp_path)
    made_sets.class_folders(tmp_path, "eurosat/2750", ["Forest", "River"])
    theirs = datasets.DTD(tmp_path, split="test")
    assert [path.name for path in theirs._image_files] == ["d.jpg"]
    assert [target for _, target in datasets.EuroSAT(tmp_path)] == [0] * 12 + [1] * 12
    pets = datasets.OxfordIIITPet(tmp_path, split="trainval", target_types="category")
    ours = [row for row in rows_of("oxford_iiit_pet", tmp_path) if row["split"] == "train"]
    assert [path.name for path in pets._images] == [Path(row["name"]).name for row in ours]


def test_sets_without_splits_are_split_by_hash(tmp_path: Path) -> None:
    made_sets.class_folders(tmp_path, "eurosat/2750", ["Forest", "River"])
    made_sets.class_folders(tmp_path, "caltech101/101_ObjectCategories", ["ant", "BACKGROUND_Google", "yin_yang"])
    for dataset, classes in (("eurosat", {"Forest", "River"}), ("caltech101", {"ant", "yin_yang"})):
        rows = rows_of(dataset, tmp_path, HALF)
        assert len(rows) == 24 and {row["class_name"] for row in rows} == classes
        assert {row["split"] for row in rows} == {"train", "test"}


def test_imagenet_has_wnids(tmp_path: Path) -> None:
    for split, count in (("train", 3), ("val", 1)):
        made_sets.class_folders(tmp_path, split, ["n02", "n01"], count)
    rows = rows_of("imagenet", tmp_path)
    assert [(row["split"], row["label"], row["class_name"]) for row in rows[:3]] == [
        ("test", 0, "n01"),
        ("test", 1, "n02"),
        ("train", 0, "n01"),
    ]


@pytest.mark.parametrize("hundred", [False, True])
def test_cifar_arrays(tmp_path: Path, hundred: bool) -> None:
    made_sets.cifar(tmp_path, hundred)
    dataset = "cifar100" if hundred else "cifar10"
    rows = rows_of(dataset, tmp_path)
    assert [row["class_name"] for row in rows[:3]] == ["bird", "car", "plane"]
    assert sum(row["split"] == "train" for row in rows) == (3 if hundred else 15)
    settings = settings_of("torchvision", dataset=dataset, root="", test=None)
    reader = torchvision.open_reader(settings.task, [str(tmp_path)])  # type: ignore[arg-type]
    batch = "cifar-100-python/test" if hundred else "cifar-10-batches-py/data_batch_3"
    pixels = reader.read(Item("test", f"{batch}/2", "bird", -1, 0))
    assert isinstance(pixels, np.ndarray) and pixels.shape == (32, 32, 3) and pixels.dtype == np.uint8
    assert (pixels[..., 0] == (12 if hundred else 22)).all() and pixels[0, 0, 2] == 99 and pixels[0, 1, 2] == 0


class Harm:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("harm"),))


def test_a_pickle_that_asks_for_more_than_arrays_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_sets.cifar(tmp_path)
    monkeypatch.chdir(tmp_path)
    for content in (pickle.dumps({"labels": [0], "data": Harm()}), pickle.dumps([1]), b"no pickle"):
        made_sets.write(tmp_path, "cifar-10-batches-py/data_batch_2", content)
        with pytest.raises(UserError, match=r"cifar10 of the task toy is not whole.*data_batch_2.*CIFAR10\(root"):
            rows_of("cifar10", tmp_path)
    assert not (tmp_path / "harm").exists()


def test_voc_has_several_labels(tmp_path: Path) -> None:
    made_sets.voc(tmp_path, VOC_CLASSES)
    rows = rows_of("voc2007", tmp_path)  # 000003 stays, as a picture without a dog of which the cats cannot be counted
    assert [
        (row["split"], Path(row["name"]).name, row["class_name"], row["accepted"], row["ignored"]) for row in rows
    ] == [
        ("test", "000004.jpg", "cat", [0], [1]),
        ("train", "000001.jpg", "cat", [0, 1], []),
        ("train", "000003.jpg", "cat", [], [0]),
        ("train", "000002.jpg", "dog", [1], []),
    ]
    tensors, several = label_tensors(rows, 2)
    assert several and tensors["train_accepted"].tolist() == [[True, True], [False, False], [False, True]]
    assert tensors["test_ignored"].tolist() == [[False, True]] and "train_ignored" not in tensors
    made_sets.voc(tmp_path, VOC_CLASSES, "2012", "train", "val")
    assert len(rows_of("voc2012", tmp_path)) == 4


def test_the_field_draws_30_train_images_of_each_class_of_caltech101(tmp_path: Path) -> None:
    made_sets.class_folders(tmp_path, "caltech101/101_ObjectCategories", ["ant"], 90)
    made_sets.class_folders(tmp_path, "caltech101/101_ObjectCategories", ["yin_yang"], 35)
    split = {"train_per_class": 30, "train_share": None, "test_per_class": 50, "seed": 0}

    def counts(**changes: Any) -> Counter[tuple[str, str]]:
        rows = rows_of("caltech101", tmp_path, {**split, **changes})
        return Counter((row["split"], row["class_name"]) for row in rows)

    assert counts() == {("train", "ant"): 30, ("test", "ant"): 50, ("train", "yin_yang"): 30, ("test", "yin_yang"): 5}
    assert counts(test_per_class=None)["test", "ant"] == 60
    names = [{row["name"] for row in rows_of("caltech101", tmp_path, {**split, **each}) if row["split"] == "train"}
             for each in ({}, {"train_per_class": 10}, {"seed": 1})]  # fmt: skip
    assert names[1] < names[0] != names[2]


def test_eurosat_is_drawn_80_to_20_in_each_class(tmp_path: Path) -> None:
    made_sets.class_folders(tmp_path, "eurosat/2750", ["Forest", "River"], 20)
    split = {"train_per_class": None, "train_share": 0.8, "test_per_class": None, "seed": 0}
    rows = rows_of("eurosat", tmp_path, split)
    assert Counter((row["split"], row["class_name"]) for row in rows) == {
        ("train", "Forest"): 16, ("test", "Forest"): 4, ("train", "River"): 16, ("test", "River"): 4,
    }  # fmt: skip
    with pytest.raises(ValidationError, match="give train_per_class"):
        rows_of("eurosat", tmp_path, {**split, "train_per_class": 5})


def test_coco_has_several_labels(tmp_path: Path) -> None:
    made_sets.coco2017(tmp_path)
    assert [(row["split"], row["class_name"], row["accepted"]) for row in rows_of("coco2017", tmp_path)] == [
        ("test", "dog", [0]),
        ("train", "dog", [0, 1]),
        ("train", "person", [1]),
    ]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing at .*nowhere \(key `root`.*dtd \(torchvision\.datasets\.DTD\(root"):
        rows_of("dtd", tmp_path / "nowhere")
    for dataset in torchvision.LAYOUTS:
        test = HALF if dataset in ("caltech101", "eurosat") else None
        with pytest.raises(UserError, match=rf"{dataset} of the task toy is not whole.* Expected is what .* leaves"):
            rows_of(dataset, tmp_path, test)
    made_sets.dtd(tmp_path)
    (tmp_path / "dtd/dtd/images/dotted/b.jpg").unlink()
    with pytest.raises(UserError, match=r"dotted/b\.jpg is listed and cannot be reached \(No such file"):
        rows_of("dtd", tmp_path)
    made_sets.write_lines(tmp_path, "dtd/dtd/labels/val1.txt", ["banded/../../../../secret.jpg"])
    with pytest.raises(UserError, match="does not stay in the set's folder"):
        rows_of("dtd", tmp_path)
    made_sets.write_lines(tmp_path, "dtd/dtd/labels/val1.txt", ["banded/a.jpg"])
    with pytest.raises(UserError, match=r"1 images are listed twice, the first is dtd/dtd/images/banded/a\.jpg"):
        rows_of("dtd", tmp_path)


def test_every_name_of_the_settings_has_a_layout() -> None:
    names = TorchvisionTask.model_fields["dataset"].annotation.__args__  # type: ignore[union-attr]
    assert sorted(names) == sorted(torchvision.LAYOUTS)


def test_each_set_has_the_figure_that_the_field_reports() -> None:
    found = {}
    for dataset in torchvision.LAYOUTS:
        test = HALF if dataset in ("caltech101", "eurosat") else None
        found[dataset] = settings_of("torchvision", dataset=dataset, root="", test=test).task.figure
    mean = dict.fromkeys(("caltech101", "fgvc_aircraft", "flowers102", "oxford_iiit_pet"), "mean_per_class")
    several = {"voc2007": "map_11_point", "voc2012": "map_area", "coco2017": "map_area"}
    assert found == {**dict.fromkeys(torchvision.LAYOUTS, "top1"), **mean, **several}
    other = settings_of("torchvision", dataset="dtd", root="", test=None, metric="mean_per_class")
    assert other.task.figure == "mean_per_class"


@pytest.mark.parametrize(("dataset", "test"), [("dtd", HALF), ("eurosat", None)])
def test_a_split_is_given_where_there_is_none(dataset: str, test: dict[str, Any] | None) -> None:
    with pytest.raises(ValidationError, match="give null" if test else "give a hash split"):
        settings_of("torchvision", dataset=dataset, root="", test=test)
