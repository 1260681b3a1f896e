"""kNN and linear probe on features of real images, against scikit-learn and a naive search."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression as Reference
from sklearn.neighbors import NearestNeighbors

from benchmarks.frozen_protocols import cifar10
from scripts.evaluate.features import Features
from scripts.evaluate.logistic import LogisticRegression, predict, principal_axes
from scripts.evaluate.neighbours import find_neighbours


@pytest.fixture(scope="module")
def features(shared: Path) -> Features:
    """Principal axes of each 20th CIFAR-10 image at 8 pixels: 2,500 to train, 500 to test."""
    return cifar10(shared, 64, every=20, side=8)


def test_ranks_are_those_of_a_naive_search_and_of_scikit_learn(features: Features):
    ours = find_neighbours(features.train_features, features.test_features, 200)[1]
    train, test = (each.astype(np.float64) for each in (features.train_features, features.test_features))
    train /= np.linalg.norm(train, axis=1, keepdims=True)
    test /= np.linalg.norm(test, axis=1, keepdims=True)
    naive = [sorted(range(len(train)), key=lambda place: (-close[place], place))[:200] for close in test @ train.T]
    assert ours.tolist() == naive
    peer = NearestNeighbors(n_neighbors=200, algorithm="brute", metric="cosine").fit(train)
    assert ours.tolist() == peer.kneighbors(test, return_distance=False).tolist()


@pytest.mark.parametrize("c", [0.001, 0.1])
def test_the_probe_is_that_of_scikit_learn(features: Features, c: float):
    train, test = torch.from_numpy(features.train_features), torch.from_numpy(features.test_features)
    axes = principal_axes(train)
    rows = axes.apply(train)
    regression = LogisticRegression(rows, torch.from_numpy(features.train_labels), axes.variances, 10, 1000)
    ours = predict(axes.apply(test), regression.fit(c, torch.ones(len(rows))))
    standard = [((each.double() - axes.mean) * axes.inverse_std).numpy() for each in (train, test)]
    theirs = Reference(C=c, tol=1e-8, max_iter=5000).fit(standard[0], features.train_labels).predict(standard[1])
    assert abs(np.mean(ours == features.test_labels) - np.mean(theirs == features.test_labels)) <= 1e-3
