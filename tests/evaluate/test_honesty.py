"""No frozen protocol may rest a choice on the test split: what it is given, what leaks look like, what chance gives."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression as Reference

from scripts.evaluate import cluster, few_shot, knn, linear_probe, linear_svm, low_shot, rank_me, sgd_probe
from scripts.evaluate.cluster import cluster_rows
from scripts.evaluate.features import Features
from scripts.evaluate.holdout import held_out
from scripts.evaluate.protocol import Answer, Given, given_of, score_answer
from scripts.evaluate.scores import top1
from scripts.evaluate.settings import PROTOCOLS as WITH_SETTINGS
from scripts.evaluate.settings_protocols import LinearProbeSettings, RankMeSettings, SgdProbeSettings
from scripts.lib.tables import RESULT_COLUMNS
from tests.evaluate import test_cluster, test_few_shot, test_linear_svm, test_low_shot, test_sgd_probe
from tests.evaluate.made import made_features, run_main, several_labels
from tests.evaluate.test_knn import votes

PROBE = LinearProbeSettings(
    tasks=None, c_values=(0.0001, 0.01, 1.0, 100.0), holdout_share=0.2, max_iterations=300, seeds=(0,)
)
SGD = test_sgd_probe.settings(test_sgd_probe.recipe(epochs=8, learning_rate=1.0))
Protocol = Callable[[Given, Any], list[Answer]]
PROTOCOLS: dict[str, tuple[Protocol, Any]] = {
    "knn": (knn.knn_answers, votes((5, 0.07), (50, 0.1))),
    "linear_probe": (linear_probe.probe_answers, PROBE),
    "sgd_probe": (sgd_probe.sgd_answers, SGD),
    "low_shot": (low_shot.low_shot_answers, test_low_shot.SETTINGS),
    "linear_svm": (linear_svm.svm_answers, test_linear_svm.SETTINGS),
    "cluster": (cluster.cluster_answers, test_cluster.SETTINGS),
}


def test_a_protocol_is_not_given_the_labels_of_the_test_split():
    names = {each.name for each in fields(Given)}
    assert not {name for name in names if name.startswith("test_")} - {"test_features"}
    accepted = {"test_accepted": np.zeros((3, 5), bool), "train_views": np.zeros((5, 1, 40), np.float32)}
    given = given_of(replace(made_features(5, 3), extras=accepted), "toy")
    assert set(given.extras) == {"train_views"}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_an_answer_rests_on_no_other_test_image(name: str):
    protocol, settings = PROTOCOLS[name]
    features = made_features(120, 60)
    whole = protocol(given_of(features, "toy"), settings)
    part = protocol(given_of(replace(features, test_features=features.test_features[:20]), "toy"), settings)
    for one, other in zip(whole, part, strict=True):
        assert one.predicted[:20].tolist() == other.predicted.tolist()
        assert one.settings == other.settings


def follows_the_protocol(row: dict[str, str], features: Features, settings: LinearProbeSettings) -> bool:
    """Whether a reported figure of the linear probe is what train alone leads to: choose C again, fit again, compare.

    Written with scikit-learn from the description of the protocol, not from our code.
    """
    train, labels = features.train_features.astype(np.float64), features.train_labels
    mean, std = train.mean(axis=0), train.std(axis=0)
    rows, test = (train - mean) / std, (features.test_features - mean) / std
    held = held_out(labels, settings.holdout_share, int(row["seed"]))

    def fitted(c: float, part: np.ndarray) -> Reference:
        return Reference(C=c, tol=1e-7, max_iter=3000).fit(rows[part], labels[part])

    scores = {c: fitted(c, ~held).score(rows[held], labels[held]) for c in sorted(settings.c_values)}
    c = max(scores, key=lambda each: (scores[each], -each))
    figure = 100 * fitted(c, np.ones(len(rows), bool)).score(test, features.test_labels)
    return json.loads(row["settings"])["chosen"]["c"] == c and abs(figure - float(row["value"])) <= 0.5


def leaky_probe(given: Given, features: Features, settings: LinearProbeSettings) -> list[Answer]:
    """The planted leak: C is the one that is best on the test split, as peers report it."""
    best: list[Answer] = []
    for c in settings.c_values:
        answers = linear_probe.probe_answers(given, settings.model_copy(update={"c_values": (c,)}))
        if not best or top1(answers[0].predicted, features.test_labels) > top1(best[0].predicted, features.test_labels):
            best = answers
    return best


def shifted(seed: int) -> Features:
    """A small, noisy train split and a test split from elsewhere, so that the two favour different choices."""
    features = made_features(60, 400, overlap=2.0, seed=seed)
    moved = features.test_features + np.random.default_rng(seed).normal(size=(1, 40)).astype(np.float32)
    return replace(features, test_features=moved)


def test_a_planted_leak_is_caught_by_comparing_with_the_protocol():
    caught = honest = 0
    for seed in range(4):
        features = shifted(seed)
        given = given_of(features, "toy")
        for leaks in (False, True):
            answers = leaky_probe(given, features, PROBE) if leaks else linear_probe.probe_answers(given, PROBE)
            row = dict(zip(RESULT_COLUMNS, score_answer(answers[0], features, "r", "toy")[0], strict=True))
            follows = follows_the_protocol(row, features, PROBE)
            honest += follows and not leaks
            caught += leaks and not follows
    assert honest == 4  # ours always follows it
    assert caught >= 2  # where the test split favours another choice than train, the leak shows


def test_the_selected_epoch_is_that_of_train_and_not_of_test():
    better = 0
    for seed in range(4):
        features = shifted(seed)
        settings: SgdProbeSettings = SGD.model_copy(update={"seeds": (0,)})
        _, selected = sgd_probe.sgd_answers(given_of(features, "toy"), settings)
        rows, known = torch.from_numpy(features.train_features), torch.from_numpy(features.train_labels)
        held = held_out(features.train_labels, settings.holdout_share, 0)
        figures: dict[str, list[float]] = {"held": [], "test": []}
        kept = torch.from_numpy(np.flatnonzero(~held))
        for _, head in sgd_probe.train_head(rows[kept], known[kept], 5, settings.recipes[0], 0):
            answers = sgd_probe.answers_of_head(head, rows[torch.from_numpy(np.flatnonzero(held))])
            figures["held"].append(top1(answers, features.train_labels[held]))
        for _, head in sgd_probe.train_head(rows, known, 5, settings.recipes[0], 0):
            answers = sgd_probe.answers_of_head(head, torch.from_numpy(features.test_features))
            figures["test"].append(top1(answers, features.test_labels))
        assert selected.settings["chosen"]["epochs"] == 1 + int(np.argmax(figures["held"]))
        reported = top1(selected.predicted, features.test_labels)
        assert reported == figures["test"][selected.settings["chosen"]["epochs"] - 1]
        better += max(figures["test"]) > reported
    assert better >= 2  # what the best epoch on the test split would have added


@pytest.fixture(scope="module")
def shuffled() -> Features:
    """Features whose labels, in both splits, say nothing of them."""
    features = made_features(400, 1500)
    random = np.random.default_rng(5)
    return replace(
        features,
        train_labels=random.permutation(features.train_labels),
        test_labels=random.permutation(features.test_labels),
    )


@pytest.mark.parametrize("name", PROTOCOLS)
def test_shuffled_labels_give_chance(name: str, shuffled: Features):
    protocol, settings = PROTOCOLS[name]
    answers = protocol(given_of(shuffled, "toy"), settings)
    score = cluster_rows if name == "cluster" else score_answer
    for answer in answers:
        for cells in score(answer, shuffled, "r", "toy"):
            row = dict(zip(RESULT_COLUMNS, cells, strict=True))
            # 1500 images at 20 %: a standard deviation is 1.03 points; four of them.
            assert abs(float(row["value"]) - float(row["chance"])) < 4.2, row
    mean = np.mean([top1(answer.predicted, shuffled.test_labels) for answer in answers])
    assert abs(mean - 20) < 3


def test_every_frozen_protocol_is_tried_with_shuffled_labels(shuffled: Features):
    tried_below = {"few_shot", "rank_me"}  # episodes have rows of their own; RankMe sees no label
    assert set(PROTOCOLS) | tried_below == set(WITH_SETTINGS)


def test_rank_me_sees_no_label(tmp_path: Path, shuffled: Features):
    settings = RankMeSettings(tasks=None, max_images=200, seed=0)
    others = replace(shuffled, train_labels=shuffled.train_labels[::-1], test_labels=shuffled.test_labels[::-1])
    rows = [
        run_main(rank_me, tmp_path / name, each, settings, predictions=False)[0]
        for name, each in (("a", shuffled), ("b", others))
    ]
    assert [row["value"] for row in rows[0]] == [row["value"] for row in rows[1]]


@pytest.mark.parametrize("name", ["knn", "linear_svm"])
def test_shuffled_labels_give_chance_where_images_have_several(name: str):
    features = several_labels(400, 1500)
    random = np.random.default_rng(6)
    mixed = {split: random.permutation(each) for split, each in features.extras.items()}
    protocol, settings = PROTOCOLS[name]
    features = replace(features, extras=mixed)
    for answer in protocol(given_of(features, "toy"), settings):
        for cells in score_answer(answer, features, "r", "toy"):
            row = dict(zip(RESULT_COLUMNS, cells, strict=True))
            assert row["metric"].startswith("map_") and abs(float(row["value"]) - float(row["chance"])) < 4, row


def test_shuffled_labels_give_chance_in_episodes(tmp_path: Path, shuffled: Features):
    settings = test_few_shot.SETTINGS.model_copy(update={"episodes": 300})
    rows, _ = run_main(few_shot, tmp_path, shuffled, settings, predictions=False)
    for row in rows:
        half = (float(row["high"]) - float(row["low"])) / 2
        assert abs(float(row["value"]) - float(row["chance"])) < 2.5 * half


def test_every_row_says_how_to_repeat_it(tmp_path: Path):
    rows, _ = run_main(linear_probe, tmp_path, made_features(100, 50), PROBE)
    with (tmp_path / "first.csv").open() as handle:
        assert tuple(next(csv.reader(handle))) == RESULT_COLUMNS
    for row in rows:
        facts = json.loads(row["settings"])
        assert {"chosen", "c_values", "holdout_share", "max_iterations"} <= set(facts) and row["seed"] == "0"
        assert json.loads(row["inputs"])["items_sha256"]
