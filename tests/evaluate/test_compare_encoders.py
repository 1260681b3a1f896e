from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from scripts.evaluate.compare_encoders import main, paired_interval
from scripts.lib.errors import UserError
from scripts.lib.files import table_of, write_table
from scripts.lib.tables import COMPARISON_COLUMNS, PREDICTIONS


def predictions(path: Path, run: str, right: list[list[bool]], items: str = "a", task: str = "t") -> str:
    rows = [
        {
            "run": run, "task": task, "protocol": "p", "seed": str(seed), "predicted": [0] * len(own), "right": own,
            "inputs": json.dumps({"items_sha256": items, "encoder_sha256": run}),
        }
        for seed, own in enumerate(right)
    ]  # fmt: skip
    write_table(path, table_of(rows, PREDICTIONS))
    return str(path)


def compared(folder: Path, *paths: str) -> list[dict[str, str]]:
    recipe = '{"draws": 4000, "seed": 0}'
    for name in ("one", "two"):
        main(["--recipe", recipe, "--predictions", *paths, "--out", str(folder / name)])
    assert (folder / "one").read_bytes() == (folder / "two").read_bytes()
    with (folder / "one").open() as handle:
        return list(csv.DictReader(handle))


def test_interval_equals_drawing_images_one_by_one():
    random = np.random.default_rng(0)
    differences = random.choice([-1.0, -1 / 3, 0.0, 2 / 3], size=300, p=[0.1, 0.2, 0.5, 0.2])
    low, high = paired_interval(differences, 20_000, np.random.default_rng(1))
    naive = [differences[random.integers(0, 300, 300)].mean() for _ in range(20_000)]
    assert (low, high) == pytest.approx(tuple(np.quantile(naive, [0.025, 0.975])), abs=0.004)


def test_pairs_are_tighter_than_two_separate_intervals(tmp_path: Path):
    random = np.random.default_rng(0)
    base = random.random(1000) < 0.6
    better = base | (random.random(1000) < 0.05)  # right wherever the other is, and a little more
    paths = [predictions(tmp_path / name, name, [own.tolist()]) for name, own in (("a", better), ("b", base))]
    (row,) = compared(tmp_path, *paths)
    assert tuple(row) == COMPARISON_COLUMNS
    assert (row["run"], row["other"], row["n"], row["seeds"]) == ("a", "b", "1000", "1")
    assert float(row["difference"]) == pytest.approx(100 * (better.mean() - base.mean()), abs=1e-3)
    # The two shares alone have intervals of 3 points on either side.
    assert 0 < float(row["low"]) < float(row["difference"]) < float(row["high"]) < float(row["difference"]) + 1.5


def test_seeds_are_averaged_for_each_image_and_equals_differ_by_nothing(tmp_path: Path):
    one = [[True, False, True, False], [True, True, False, False]]
    other = [[True, True, True, False], [True, False, False, False]]
    rows = compared(
        tmp_path,
        *(predictions(tmp_path / name, name, own) for name, own in (("a", one), ("b", other), ("c", [one[0], one[0]]))),
    )
    assert [(row["run"], row["other"]) for row in rows] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert (rows[0]["difference"], rows[0]["low"], rows[0]["high"]) == ("0.0000",) * 3
    assert rows[1]["difference"] == "0.0000" and float(rows[1]["low"]) < 0 < float(rows[1]["high"])


def test_other_images_are_refused(tmp_path: Path):
    paths = [predictions(tmp_path / name, name, [[True]], items=name) for name in ("a", "b")]
    with pytest.raises(UserError, match="a and b were scored on different images of the task t under p"):
        compared(tmp_path, *paths)


def test_tasks_stay_apart_and_nothing_gives_a_header(tmp_path: Path):
    paths = [predictions(tmp_path / name, name, [[True]], task=name) for name in ("a", "b")]
    assert compared(tmp_path, *paths) == []
    assert compared(tmp_path) == []
