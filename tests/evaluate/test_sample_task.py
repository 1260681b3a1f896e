from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from scripts.evaluate import list_task, sample_task
from scripts.evaluate.items import TRAIN
from scripts.evaluate.sample_task import choose_items
from scripts.evaluate.settings import SampleTaskSettings
from scripts.lib.errors import UserError
from scripts.lib.files import table_of
from scripts.lib.labelled_sample import read_sample
from scripts.lib.tables import TASK_ITEMS

TASK = {"kind": "image_folder", "name": "toy", "train": "", "test": "", "resize": 20, "crop": 16, "max_train": None}
TASK |= {"max_test": None, "seed": 0}


def settings_of(images: int, classes: int | None = None, seed: int = 0) -> SampleTaskSettings:
    text = json.dumps({"task": {**TASK, "seed": seed}, "images": images, "classes": classes})
    return SampleTaskSettings.model_validate_json(text)


def listed(classes: int = 6, train: int = 5, test: int = 4, accepted: list[int] | None = None) -> pa.Table:
    rows: list[dict[str, Any]] = []
    for split, count in (("test", test), ("train", train)):
        for label in range(classes):
            for number in range(count):
                row = {
                    "split": split,
                    "name": f"{label}/{split}{number}.png",
                    "label": label,
                    "class_name": f"c{label}",
                }
                rows.append({**row, "offset": -1, "size": 9, "accepted": accepted or [label], "ignored": []})
    return table_of(rows, TASK_ITEMS)


def test_train_images_alone_evenly_over_the_classes() -> None:
    items = choose_items(listed(), settings_of(20))
    assert len(items) == 20 and {item.split for item in items} == {TRAIN}
    assert sorted(Counter(item.class_name for item in items).values()) == [3, 3, 3, 3, 4, 4]
    assert items == sorted(items, key=lambda item: (item.class_name, item.name))


def test_a_larger_sample_holds_the_smaller_and_the_order_of_rows_does_not_matter() -> None:
    table = listed()
    small, large = (set(choose_items(table, settings_of(count))) for count in (12, 24))
    assert small < large
    assert set(choose_items(table.take(list(range(table.num_rows))[::-1]), settings_of(12))) == small
    assert set(choose_items(table, settings_of(12, seed=1))) != small


def test_a_choice_of_classes() -> None:
    chosen = {item.class_name for item in choose_items(listed(), settings_of(8, classes=2))}
    more = {item.class_name for item in choose_items(listed(), settings_of(8, classes=3))}
    assert len(chosen) == 2 and chosen < more and len(more) == 3


def test_several_labels_are_refused() -> None:
    with pytest.raises(UserError, match=r"have several labels each.*name another task in pretrain\.monitor\.task"):
        choose_items(listed(accepted=[0, 1]), settings_of(8))


@pytest.mark.parametrize(("images", "classes"), [(8, 1), (7, 4)])
def test_a_sample_that_tells_nothing_is_refused(images: int, classes: int) -> None:
    class Reader:
        def read(self, item: object) -> bytes:
            raise AssertionError("nothing is read")

    with pytest.raises(UserError, match=r"tells nothing: at least two classes with two images each"):
        sample_task.sample_task(listed(), settings_of(images, classes), Reader(), threads=1)


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    """A picture of one colour for each image: the colour says which."""
    for split, count in (("train", 4), ("test", 2)):
        for label in range(3):
            for number in range(count):
                path = tmp_path / split / f"c{label}" / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                colour = (80 * label, 60 * number, 255 if split == "test" else 0)
                Image.new("RGB", (30, 24), colour).save(path)
    return ["--paths", str(tmp_path / "train"), str(tmp_path / "test")]


@pytest.mark.parametrize("threads", ["1", "3"])
def test_the_step(tmp_path: Path, folders: list[str], threads: str) -> None:
    items = tmp_path / "items.parquet"
    text = json.dumps({"task": TASK, "near_duplicates": None})
    list_task.main(["--recipe", text, *folders, "--out", str(items), "--left-out", str(tmp_path / "left.csv")])
    assert set(pq.read_table(items)["split"].to_pylist()) == {"train", "test"}
    recipe = settings_of(9).model_dump_json()
    out = tmp_path / f"{threads}.safetensors"
    sample_task.main(["--recipe", recipe, "--items", str(items), *folders, "--threads", threads, "--out", str(out)])
    sample = read_sample(out)
    assert sample.pixels.shape == (9, 16, 16, 3) and sample.classes == 3 and sample.task == "toy"
    assert np.array_equal(sample.pixels[:, 8, 8, 0], 80 * sample.labels)
    assert not sample.pixels[..., 2].any()  # no test image
    assert out.read_bytes()[:8] and len({each.tobytes() for each in sample.pixels}) == 9


def test_a_file_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"nothing")
    with pytest.raises(UserError, match="is not a sample of a labelled set"):
        read_sample(tmp_path / "x")
