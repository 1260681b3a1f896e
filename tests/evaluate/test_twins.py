from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from scripts.evaluate import list_task
from scripts.evaluate.settings import TwinSettings
from scripts.evaluate.twins import looks_of, twins
from scripts.lib.images import Pixels

BOTH = TwinSettings(tasks=None, near_distance=6, min_correlation=0.92, mirrored=True, turned=True)


def picture(seed: int) -> Pixels:
    """A smooth random pattern: large shapes, as photographs have."""
    small = np.random.default_rng(seed).integers(0, 255, (6, 6, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(small).resize((96, 96), Image.Resampling.BICUBIC))


def test_copies_are_found_however_they_lie_and_others_are_not():
    train = looks_of([picture(seed) for seed in range(40)])
    paler = (picture(7) * 0.8 + 30).astype(np.uint8)
    test = [paler, picture(3)[:, ::-1], np.rot90(picture(5)), *(picture(seed) for seed in range(100, 130))]
    found = twins(train, looks_of(test), BOTH)
    assert found.tolist() == [7, 3, 5, *[-1] * 30]
    upright = twins(train, looks_of(test), BOTH.model_copy(update={"mirrored": False, "turned": False}))
    assert upright.tolist() == [7, *[-1] * 32]


def test_the_first_of_several_is_named_and_nothing_has_no_twin():
    both = looks_of([picture(1), picture(2), picture(2)])
    assert twins(both, looks_of([picture(2)]), BOTH).tolist() == [1]
    assert twins(both, looks_of([]), BOTH).tolist() == [] and twins(looks_of([]), both, BOTH).tolist() == [-1] * 3


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    for split, seeds in (("train", range(4)), ("test", (2, 10, 11))):
        for number, seed in enumerate(seeds):
            folder = tmp_path / split / f"c{number % 2}"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture(seed)).save(folder / f"{seed}.png")
    return [str(tmp_path / split) for split in ("train", "test")]


def test_the_listing_leaves_them_out_with_a_reason(tmp_path: Path, folders: list[str]):
    task = {"name": "t", "kind": "image_folder", "train": "", "test": "", "resize": 32, "crop": 32, "max_train": None,
            "max_test": None, "seed": 0}  # fmt: skip
    for near, names in ((None, {"c0/2.png", "c1/10.png", "c0/11.png"}), (BOTH, {"c1/10.png", "c0/11.png"})):
        recipe = {"task": task, "near_duplicates": near.model_dump(mode="json") if near else None}
        out, left = tmp_path / "items.parquet", tmp_path / "left.csv"
        list_task.main(
            ["--recipe", json.dumps(recipe), "--paths", *folders, "--out", str(out), "--left-out", str(left)]
        )
        rows = pq.read_table(out).to_pylist()
        assert {row["name"] for row in rows if row["split"] == "test"} == names
        assert sum(row["split"] == "train" for row in rows) == 4
    with left.open(newline="") as handle:
        (row,) = csv.DictReader(handle)
    assert row == {"split": "test", "image": "c0/2.png", "annotation": "", "reason": "near_duplicate_of_train",
                   "detail": "looks like c0/2.png"}  # fmt: skip
