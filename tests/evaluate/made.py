"""Made features and the run of a protocol's `main`, for all tests of frozen protocols."""

from __future__ import annotations

import csv
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from scripts.evaluate.features import Features, save_features
from scripts.lib.recipe import Settings


def made_features(
    train: int, test: int, dims: int = 40, classes: int = 5, seed: int = 0, overlap: float = 1.0
) -> Features:
    """Correlated, non-negative features of overlapping classes, as a network's last layer gives."""
    random = np.random.default_rng(seed)
    mix = random.normal(size=(dims, dims)) * (np.arange(1, dims + 1) ** -0.8)[:, None]
    centres = random.normal(size=(classes, dims))
    parts: list[np.ndarray] = []
    for count in (train, test):
        labels = np.arange(count) % classes
        vectors = np.maximum((centres[labels] + overlap * random.normal(size=(count, dims))) @ mix, 0)
        parts += [vectors.astype(np.float32), labels]
    names = [str(label) for label in range(classes)]
    description = {"task": "toy", "class_names": names, "encoder": {}, "inputs": {"items_sha256": f"{train}-{test}"}}
    return Features(*parts, description=description)


def several_labels(train: int, test: int, dims: int = 30, classes: int = 4, seed: int = 0) -> Features:
    """Features that are the sum of the centres of the classes that an image has: each has at least one."""
    random = np.random.default_rng(seed)
    centres = 2 * random.normal(size=(classes, dims))
    parts: list[np.ndarray] = []
    extras = {}
    for split, count in (("train", train), ("test", test)):
        accepted = random.random((count, classes)) < 0.3
        accepted[np.arange(count), random.integers(0, classes, count)] = True
        vectors = accepted @ centres + random.normal(size=(count, dims))
        parts += [vectors.astype(np.float32), accepted.argmax(axis=1)]
        extras[f"{split}_accepted"] = accepted
    names = [str(label) for label in range(classes)]
    description = {"task": "toy", "class_names": names, "encoder": {}, "inputs": {}, "multi_label": True}
    return Features(*parts, description=description, extras=extras)


def run_main(
    module: ModuleType, folder: Path, features: Features, settings: Settings, predictions: bool = True
) -> tuple[list[dict[str, str]], list[dict[str, Any]]]:
    """Run a protocol's `main` twice, check that the bytes are the same, and return its results and predictions."""
    folder.mkdir(exist_ok=True)
    save_features(folder / "features", features)
    arguments = ["--recipe", settings.model_dump_json(), "--run", "r", "--task", "t"]
    arguments += ["--features", str(folder / "features"), "--threads", "1"]
    for name in ("first", "second"):
        more = ["--predictions", str(folder / f"{name}.parquet")] if predictions else []
        module.main([*arguments, *more, "--out", str(folder / f"{name}.csv")])
    for suffix in (".csv", ".parquet") if predictions else (".csv",):
        assert (folder / f"first{suffix}").read_bytes() == (folder / f"second{suffix}").read_bytes()
    with (folder / "first.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    return rows, pq.read_table(folder / "first.parquet").to_pylist() if predictions else []
