from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from scripts.evaluate import few_shot
from scripts.evaluate.few_shot import Episodes, few_shot_rows, logistic, nearest_centroid, unit_rows
from scripts.evaluate.settings_protocols import FewShotSettings
from scripts.lib.errors import UserError
from scripts.lib.tables import RESULT_COLUMNS
from tests.evaluate.made import made_features, run_main

SETTINGS = FewShotSettings(
    tasks=None, ways=3, shots=(1, 5), queries=4, episodes=40, classifiers=("centroid", "logistic"), c=1.0, seed=0
)


def test_episodes_are_drawn_from_both_splits_and_repeat():
    features = made_features(60, 50)
    episodes = Episodes(features, SETTINGS, 5, "toy")
    support, asked, ways = episodes.draw(7)
    classes = features.train_labels[support]
    assert support.shape == (3, 5) and (classes == classes[:, :1]).all() and len(set(classes[:, 0])) == 3
    assert features.test_labels[asked].tolist() == classes[ways, 0].tolist()
    assert len(set(asked)) == 12 and all(len(set(row)) == 5 for row in support.tolist())
    again = Episodes(features, SETTINGS, 5, "toy").draw(7)
    assert all(np.array_equal(one, other) for one, other in zip((support, asked, ways), again, strict=True))


def test_centroids_by_hand():
    support = np.array([[[1.0, 0.0], [0.6, 0.8]], [[0.0, 1.0], [-1.0, 0.0]]])
    assert nearest_centroid(support, np.array([[1.0, 0.1], [-1.0, 0.2]])).tolist() == [0, 1]


def test_logistic_in_the_span_equals_logistic_in_the_whole_space():
    features = made_features(60, 50)
    train, test = unit_rows(features.train_features), unit_rows(features.test_features)
    support = Episodes(features, SETTINGS, 5, "toy").draw(0)[0]
    whole = LogisticRegression(C=1.0, tol=1e-8, max_iter=5000).fit(
        train[support].reshape(15, -1), np.repeat(range(3), 5)
    )
    assert np.mean(logistic(train[support], test, 1.0) == whole.predict(test)) == 1


def test_main_reports_the_interval_over_episodes(tmp_path: Path):
    rows, _ = run_main(few_shot, tmp_path, made_features(60, 50), SETTINGS, predictions=False)
    assert [row["protocol"] for row in rows] == [
        f"few_shot_3way_{shots}shot_{name}" for shots in (1, 5) for name in ("centroid", "logistic")
    ]
    for row in rows:
        half = 1.959964 * float(row["sd"]) / 40**0.5
        assert float(row["high"]) - float(row["value"]) == pytest.approx(half, abs=1e-3)
        assert row["repeats"] == "40" and row["chance"] == "33.3333" and json.loads(row["settings"])["ways"] == 3
    assert float(rows[2]["value"]) > float(rows[0]["value"]) > 45


def test_small_sets(caplog: pytest.LogCaptureFixture):
    features = made_features(12, 7)  # classes of 2 or 3 train images, of 1 or 2 test images
    with caplog.at_level(logging.WARNING):
        rows = few_shot_rows(features, SETTINGS.model_copy(update={"ways": 9, "shots": (2,)}), "r", "toy")
    assert "has 5 classes for episodes of 9" in caplog.text
    assert dict(zip(RESULT_COLUMNS, rows[0], strict=True))["chance"] == "20.0000"
    with pytest.raises(UserError, match="few_shot needs two classes with 5 train images"):
        few_shot_rows(features, SETTINGS, "r", "toy")
