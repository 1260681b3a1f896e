from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from scripts.evaluate import low_shot
from scripts.evaluate.low_shot import fit_ridge, low_shot_answers, ridge_labels
from scripts.evaluate.protocol import given_of
from scripts.evaluate.settings_protocols import LowShotSettings
from tests.evaluate.made import made_features, run_main

SETTINGS = LowShotSettings(tasks=None, shots=(1, 5), draws=3, seed=0, penalty=1024.0, bias=100.0)


@pytest.mark.parametrize("count", [4, 30])
def test_ridge_is_where_the_gradient_vanishes(count: int):
    random = np.random.default_rng(0)
    rows, targets = random.normal(size=(count, 12)), random.normal(size=(count, 3))
    weights = fit_ridge(rows, targets, 2.0)
    assert np.allclose(rows.T @ (rows @ weights - targets) + 2.0 * weights, 0, atol=1e-9)


def test_labels_by_the_official_formula():
    features = made_features(20, 50)
    train, test = features.train_features.astype(np.float64), features.test_features.astype(np.float64)
    mean, std = train.mean(axis=0), train.std(axis=0) + 1e-5
    rows, others = (np.pad((each - mean) / std, ((0, 0), (0, 1)), constant_values=100) for each in (train, test))
    targets = 2.0 * np.eye(5)[features.train_labels] - 1
    weights = rows.T @ np.linalg.inv(rows @ rows.T + 1024 * np.eye(20)) @ targets
    found = ridge_labels(features.train_features, features.train_labels, features.test_features, 5, SETTINGS)
    assert found.tolist() == (others @ weights).argmax(axis=1).tolist()


def test_main(tmp_path: Path):
    rows, predictions = run_main(low_shot, tmp_path, made_features(100, 60), SETTINGS)
    assert [(row["protocol"], row["seed"]) for row in rows[::2]] == [
        (f"low_shot_{shots}", str(draw)) for shots in (1, 5) for draw in range(3)
    ]
    assert [json.loads(row["settings"])["train_images"] for row in rows[::6]] == [5, 25]
    assert len({tuple(each["predicted"]) for each in predictions[:3]}) == 3  # draws differ
    assert np.mean([float(row["value"]) for row in rows[6::2]]) > 40


def test_more_shots_than_images_take_all(caplog: pytest.LogCaptureFixture):
    given = given_of(made_features(12, 6), "toy")  # classes of 2 and 3
    with caplog.at_level(logging.WARNING):
        answers = low_shot_answers(given, SETTINGS.model_copy(update={"shots": (5,)}))
    assert "5 shots: the smallest train class of toy has 2" in caplog.text
    assert answers[0].settings["train_images"] == 12
    assert answers[0].predicted.tolist() == answers[1].predicted.tolist()
