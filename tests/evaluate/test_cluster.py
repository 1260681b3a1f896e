from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from scripts.evaluate import cluster
from scripts.evaluate.cluster import cluster_answers, cluster_counts, matched_names
from scripts.evaluate.protocol import given_of
from scripts.evaluate.settings_protocols import ClusterSettings
from tests.evaluate.made import made_features, run_main

SETTINGS = ClusterSettings(tasks=None, clusters=None, restarts=2, max_iterations=100, seeds=(0, 1, 2))


def test_matching_equals_trying_all_assignments():
    counts = np.random.default_rng(0).integers(0, 20, (4, 4))
    best = max(
        sum(counts[place, name] for place, name in enumerate(names)) for names in itertools.permutations(range(4))
    )
    assert counts[np.arange(4), matched_names(counts)].sum() == best


def test_clusters_beyond_the_classes_stay_unnamed():
    counts = cluster_counts(np.array([0, 0, 1, 2, 2, 2]), np.array([0, 0, 1, 1, 1, 0]), 3, 2)
    assert counts.tolist() == [[2, 0], [0, 1], [1, 2]]
    assert matched_names(counts).tolist() == [0, -1, 1]


def test_far_classes_are_found(tmp_path: Path):
    rows, predictions = run_main(cluster, tmp_path, made_features(200, 100, overlap=0.05), SETTINGS)
    assert [(row["metric"], row["seed"]) for row in rows] == [
        (metric, str(seed)) for seed in range(3) for metric in ("hungarian", "purity", "nmi", "ari")
    ]
    assert max(float(row["value"]) for row in rows) == 100
    assert {row["metric"]: row["selected_on"] for row in rows} == {
        "hungarian": "names of clusters: all train labels",
        "purity": "names of clusters: all train labels",
        "nmi": "",
        "ari": "",
    }
    assert len(predictions) == 3


def test_figures_by_hand(tmp_path: Path):
    features = made_features(100, 80, overlap=2.0)
    rows, _ = run_main(cluster, tmp_path, features, SETTINGS.model_copy(update={"seeds": (0,)}))
    (answer,) = cluster_answers(given_of(features, "toy"), SETTINGS.model_copy(update={"seeds": (0,)}))
    clusters, labels = answer.more["clusters"], features.test_labels
    joint = cluster_counts(clusters, labels, 5, 5) / 80
    outer = joint.sum(1, keepdims=True) @ joint.sum(0, keepdims=True)
    mutual = (joint[joint > 0] * np.log(joint[joint > 0] / outer[joint > 0])).sum()
    entropies = [-(share[share > 0] * np.log(share[share > 0])).sum() for share in (joint.sum(0), joint.sum(1))]
    values = {row["metric"]: float(row["value"]) for row in rows}
    assert values["nmi"] == pytest.approx(100 * mutual / np.mean(entropies), abs=1e-3)
    assert values["hungarian"] == pytest.approx(100 * np.mean(answer.predicted == labels), abs=1e-3)
    same_label, same_cluster = (each[:, None] == each[None] for each in (labels, clusters))
    pairs = ~np.eye(80, dtype=bool)
    index, mean = (same_label & same_cluster)[pairs].mean(), same_label[pairs].mean() * same_cluster[pairs].mean()
    largest = (same_label[pairs].mean() + same_cluster[pairs].mean()) / 2
    assert values["ari"] == pytest.approx(100 * (index - mean) / (largest - mean), abs=1e-3)


def test_fewer_train_images_than_clusters():
    (answer,) = cluster_answers(
        given_of(made_features(7, 3), "toy"), SETTINGS.model_copy(update={"clusters": 50, "seeds": (0,)})
    )
    assert answer.settings["clusters"] == 7 and len(answer.predicted) == 3
