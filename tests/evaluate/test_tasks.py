"""The kinds of tasks that are no folders of classes; folders and tars are in test_list_task.py."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from pydantic import ValidationError

from scripts.evaluate.items import Item
from scripts.evaluate.list_task import list_task
from scripts.evaluate.tasks import fractal, table
from scripts.lib.errors import UserError
from tests.evaluate.test_list_task import HALF, folder_of, settings_of


def write_photos(root: Path, lines: list[str]) -> tuple[str, str]:
    folder_of(root, [f"{index}.jpg" for index in range(12)])
    (root / "table.csv").write_text("\n".join(["file,kind", *lines]) + "\n", encoding="utf-8-sig")
    return str(root / "table.csv"), str(root)


COLUMNS = {"file_column": "file", "label_column": "kind", "label_separator": None}
TABLE = {"table": "", "root": "", **COLUMNS, "test": HALF}


def test_table_leaves_out_rows_without_a_label(tmp_path: Path):
    paths = write_photos(tmp_path, [f"{index}.jpg,{'' if index < 4 else 'xy'[index % 2]}" for index in range(12)])
    settings = settings_of("table", **TABLE)
    rows = list_task(settings, paths).to_pylist()
    assert sorted(row["name"] for row in rows) == sorted(f"{index}.jpg" for index in range(4, 12))
    assert {(row["class_name"], row["label"]) for row in rows} == {("x", 0), ("y", 1)}
    reader = table.open_reader(settings.task, paths)  # type: ignore[arg-type]
    assert reader.read(Item("train", "4.jpg", "x", -1, 5)) == b"4.jpg"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["0.jpg,x", "0.jpg,y"], "names the file 0.jpg twice"),
        (["0.jpg,x", "99.jpg,y"], "the image 99.jpg of the task toy is in its table but not in"),
        (["../table.csv,x"], "must be relative to `root` and stay in it"),
        (["/etc/passwd,x"], "must be relative to `root` and stay in it"),
        (["0.jpg"], "line 2 of .* has not as many fields as the header"),
        (["0.jpg,x,z"], "line 2 of .* has not as many fields as the header"),
    ],
)
def test_table_errors(tmp_path: Path, lines: list[str], message: str):
    with pytest.raises(UserError, match=message):
        list_task(settings_of("table", **TABLE), write_photos(tmp_path, lines))


def test_table_without_the_column(tmp_path: Path):
    settings = settings_of("table", **{**TABLE, "label_column": "flower"})
    with pytest.raises(UserError, match=r"no column `flower`; its columns are file, kind\. Correct"):
        list_task(settings, write_photos(tmp_path, []))


def test_table_with_splits_and_several_labels(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    folder_of(tmp_path, [f"{index}.jpg" for index in range(6)])
    lines = ["0.jpg,x;y,train", "1.jpg,y,train", "2.jpg, z ; x;x,val", "3.jpg,x,test", "4.jpg,,train", "5.jpg,x,other"]
    (tmp_path / "table.csv").write_text("\n".join(["file,kind,part", *lines]) + "\n")
    split = {"split_column": "part", "train_values": ["train", "val"], "test_values": ["test"]}
    settings = settings_of("table", **{**TABLE, "label_separator": ";", "test": split})
    with caplog.at_level(logging.INFO):
        rows = list_task(settings, [str(tmp_path / "table.csv"), str(tmp_path)]).to_pylist()
    assert [(row["split"], row["name"], row["class_name"], row["accepted"]) for row in rows] == [
        ("test", "3.jpg", "x", [0]),
        ("train", "0.jpg", "y", [0, 1]),  # the rarer one
        ("train", "1.jpg", "y", [1]),
        ("train", "2.jpg", "z", [0, 2]),
    ]
    assert "6 rows, 4 labelled, left out {'no_label': 1, 'no_split': 1}" in caplog.text
    with pytest.raises(UserError, match="no column `lot`"):
        wrong = settings_of("table", **{**TABLE, "test": {**split, "split_column": "lot"}})
        list_task(wrong, [str(tmp_path / "table.csv"), str(tmp_path)])
    with pytest.raises(ValidationError, match="val cannot be train and test"):
        settings_of("table", **{**TABLE, "test": {**split, "test_values": ["val"]}})


def test_fractal_views_of_train_and_test_differ():
    settings = settings_of(
        "fractal", classes=11, train_per_class=2, test_per_class=3, image_size=16, iterations=500, fractal_seed=1
    )
    rows = list_task(settings, [""]).to_pylist()
    assert len(rows) == 55
    views = {split: {row["name"] for row in rows if row["split"] == split} for split in ("train", "test")}
    assert views["train"].isdisjoint(views["test"])
    assert [row["name"] for row in rows if row["label"] == 10] == ["10/2", "10/3", "10/4", "10/0", "10/1"]
    assert next(row["class_name"] for row in rows if row["label"] == 9) == "09"
    reader = fractal.open_reader(settings.task, [])  # type: ignore[arg-type]
    train, test = (reader.read(Item(split, name, "10", -1, 0)) for split, name in (("train", "10/0"), ("test", "10/2")))
    assert train.shape == test.shape == (16, 16, 3)
    assert (train != test).any()


def test_flowers_table(shared: Path):
    settings = settings_of("table", **{**TABLE, "label_column": "flower", "test": {"test_share": 0.25, "seed": 0}})
    rows = list_task(settings, [str(shared / "photos.csv"), str(shared)]).to_pylist()
    assert len(rows) == 800
    assert len({row["label"] for row in rows}) == 5
