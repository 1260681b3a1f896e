from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score
from sklearn.svm import LinearSVC

from scripts.evaluate import linear_svm
from scripts.evaluate.few_shot import unit_rows
from scripts.evaluate.linear_svm import choose_cost, fold_numbers, svm_answers
from scripts.evaluate.protocol import given_of
from scripts.evaluate.ranking import area_ap, eleven_point_ap, ranking_rows
from scripts.evaluate.settings_protocols import LinearSvmSettings
from scripts.lib.tables import RESULT_COLUMNS
from tests.evaluate.made import made_features, run_main, several_labels

SETTINGS = LinearSvmSettings(
    tasks=None, costs=(0.1, 1.0, 10.0), folds=3, max_iterations=2000, positive_weight=2.0, seeds=(0, 1)
)


def naive_ap(scores: list[float], truth: list[bool], eleven: bool) -> float:
    """Average precision over thresholds, in plain Python."""
    points = []
    for threshold in sorted(set(scores), reverse=True):
        taken = [own for score, own in zip(scores, truth, strict=True) if score >= threshold]
        points.append((sum(taken) / len(taken), sum(taken) / sum(truth)))
    if eleven:
        best = [max((p for p, r in points if r >= at / 10 - 1e-12), default=0.0) for at in range(11)]
        return sum(best) / 11
    before = [0.0, *(r for _, r in points)]
    return sum(p * (r - before[place]) for place, (p, r) in enumerate(points))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("levels", [3, 10**6])
def test_average_precision_equals_a_naive_loop_and_scikit_learn(seed: int, levels: int):
    random = np.random.default_rng(seed)
    scores, truth = random.integers(0, levels, 60) / levels, random.random(60) < 0.2
    truth[0] = True
    assert area_ap(scores, truth) == pytest.approx(naive_ap(scores.tolist(), truth.tolist(), False), abs=1e-12)
    assert area_ap(scores, truth) == pytest.approx(average_precision_score(truth, scores), abs=1e-12)
    assert eleven_point_ap(scores, truth) == pytest.approx(naive_ap(scores.tolist(), truth.tolist(), True), abs=1e-12)


def test_average_precision_by_hand():
    scores, truth = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False])
    assert area_ap(scores, truth) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert eleven_point_ap(scores, truth) == pytest.approx((6 * 1 + 5 * 2 / 3) / 11)
    assert area_ap(np.zeros(4), truth) == eleven_point_ap(np.zeros(4), truth) == 0.5  # its share: chance


def test_a_difficult_object_is_ignored_and_neither_right_nor_wrong():
    """As VOC's devkit: an image with nothing but difficult objects of a class is not in the ranking of that class."""
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    accepted = np.array([[True, False], [False, True], [True, False], [False, True]])
    ignored = np.array([[False, False], [True, False], [False, False], [False, True]])  # the last: also one that is not

    def value(mask: np.ndarray | None) -> float:
        row = next(iter(ranking_rows(("r", "t", "p", ""), scores, accepted, mask)))
        return float(dict(zip(RESULT_COLUMNS, row, strict=True))["value"])

    whole = (0.5 * 1 + 0.5 * 2 / 3 + 0.5 * 1 + 0.5 * 2 / 3) / 2
    assert value(None) == pytest.approx(100 * whole, abs=1e-3)
    # Without the second image the ranking of class 0 is perfect; class 1 has an easy object too, so counts.
    assert value(ignored) == pytest.approx(100 * (1 + 0.5 * 1 + 0.5 * 2 / 3) / 2, abs=1e-3)


def test_folds_are_stratified():
    truth = np.arange(30) < 7
    numbers = fold_numbers(truth, 3, seed=0, label=1)
    assert sorted(np.bincount(numbers[truth]).tolist()) == [2, 2, 3]
    assert sorted(np.bincount(numbers[~truth]).tolist()) == [7, 8, 8]
    assert numbers.tolist() != fold_numbers(truth, 3, seed=1, label=1).tolist()


def test_scores_are_those_of_scikit_learn_at_the_chosen_cost(tmp_path: Path):
    features = several_labels(150, 100)
    rows, _ = run_main(linear_svm, tmp_path, features, SETTINGS)
    assert [(row["seed"], row["metric"]) for row in rows] == [
        (seed, metric) for seed in "01" for metric in ("map_area", "map_11_point")
    ]
    costs = json.loads(rows[0]["settings"])["chosen"]["costs"]
    train, test = unit_rows(features.train_features), unit_rows(features.test_features)
    figures = []
    for label, cost in enumerate(costs):
        own = features.extras["train_accepted"][:, label]
        assert cost == choose_cost(train, own, SETTINGS, label, 0)
        model = LinearSVC(C=cost, class_weight={True: 2.0, False: 1.0}, max_iter=2000, random_state=1).fit(train, own)
        figures.append(
            average_precision_score(features.extras["test_accepted"][:, label], model.decision_function(test))
        )
    assert float(rows[0]["value"]) == pytest.approx(100 * np.mean(figures), abs=0.1)
    assert float(rows[0]["value"]) > float(rows[0]["chance"]) + 20
    assert rows[0]["selected_on"].startswith("3 folds of the 150 train images")


def test_one_label_for_each_image_gives_both_kinds_of_metric(tmp_path: Path):
    rows, _ = run_main(linear_svm, tmp_path, made_features(100, 50), SETTINGS.model_copy(update={"seeds": (0,)}))
    assert [row["metric"] for row in rows] == ["top1", "mean_per_class", "map_area", "map_11_point"]
    # A random ranking of 50 images is a little above the share of each class, more so under eleven points.
    assert 20 < float(rows[2]["chance"]) < float(rows[3]["chance"]) < 40


def test_classes_with_too_few_images():
    features = made_features(11, 10)  # the last class has 2 train images
    labels = features.train_labels.copy()
    labels[labels == 4] = 0
    labels[0] = 4  # now one
    labels[labels == 3] = 1  # and class 3 none
    features.train_labels[:] = labels
    (answer,) = svm_answers(given_of(features, "toy"), SETTINGS.model_copy(update={"seeds": (0,)}))
    assert (answer.scores[:, 3] == 0).all() and (answer.scores[:, 4] != 0).any()
    assert answer.settings["chosen"]["costs"][3:] == [None, None]
