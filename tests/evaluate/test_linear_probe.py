from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression as Reference

from scripts.evaluate import linear_probe
from scripts.evaluate.holdout import draw_shots, held_out
from scripts.evaluate.linear_probe import choose_c, probe_answers
from scripts.evaluate.logistic import LogisticRegression, predict, principal_axes
from scripts.evaluate.protocol import Given, given_of
from scripts.evaluate.scores import top1
from scripts.evaluate.settings_protocols import LinearProbeSettings
from scripts.lib.errors import UserError
from tests.evaluate.made import made_features, run_main, several_labels

SETTINGS = LinearProbeSettings(tasks=None, c_values=(1.0, 0.01), holdout_share=0.2, max_iterations=500, seeds=(0, 1))


def naive_objective(
    rows: np.ndarray, labels: np.ndarray, slopes: np.ndarray, intercepts: np.ndarray, c: float
) -> float:
    """Mean log-loss plus |W|^2 / (2 C n), in float64."""
    scores = rows @ slopes.T + intercepts
    scores -= scores.max(axis=1, keepdims=True)
    log_p = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    return float(-log_p[np.arange(len(labels)), labels].mean() + (slopes**2).sum() / (2 * c * len(labels)))


def tensors(given: Given) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return tuple(torch.from_numpy(each) for each in (given.train_features, given.train_labels, given.test_features))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("c", [0.001, 0.1, 10.0, 100.0])
def test_agrees_with_scikit_learn(c: float, seed: int):
    features = made_features(1500, 2000, seed=seed)
    train_rows, known, test_rows = tensors(given_of(features, "toy"))
    axes = principal_axes(train_rows)
    train, test = axes.apply(train_rows), axes.apply(test_rows)
    regression = LogisticRegression(train, known, axes.variances, 5, 1000)
    found = regression.fit(c, torch.ones(len(train)))
    # The reference sees features that are standardised and not rotated: the rotation must not change the optimum.
    standard = [((part.double() - axes.mean) * axes.inverse_std).numpy() for part in (train_rows, test_rows)]
    train_labels, labels = features.train_labels, features.test_labels
    reference = Reference(C=c, tol=1e-8, max_iter=5000).fit(standard[0], train_labels)
    ours, theirs = predict(test, found), reference.predict(standard[1])
    assert abs(np.mean(ours == labels) - np.mean(theirs == labels)) <= 1e-3
    assert np.mean(ours == theirs) >= 0.998
    # Coefficients are compared by what they reach: with a weak penalty the optimum is flat and they are ill-defined.
    slopes = (axes.rotation.double() @ found[:, :-1].T).T.numpy()
    reached = naive_objective(standard[0], train_labels, slopes, found[:, -1].numpy(), c)
    best = naive_objective(standard[0], train_labels, reference.coef_, reference.intercept_, c)
    assert reached - best < 2e-5


def test_weight_zero_leaves_a_row_out():
    train, labels, _ = tensors(given_of(made_features(300, 10), "toy"))
    axes = principal_axes(train)
    rows = axes.apply(train)
    weights = (torch.arange(300) >= 60).float()
    weighted = LogisticRegression(rows, labels, axes.variances, 5, 500).fit(0.1, weights)
    cut = LogisticRegression(rows[60:], labels[60:], axes.variances, 5, 500).fit(0.1, torch.ones(240))
    assert torch.allclose(weighted, cut, atol=2e-3)
    # A warm start ends where a cold one does, up to a shift of all intercepts, which no probability sees.
    warm = LogisticRegression(rows, labels, axes.variances, 5, 500).fit(0.1, weights, start=cut + 0.5)
    warm[:, -1] -= (warm - cut)[:, -1].mean()
    assert torch.allclose(warm, cut, atol=2e-3)


def test_features_that_do_not_vary_or_have_any_scale():
    train, known, _ = tensors(given_of(made_features(400, 200), "toy"))
    constant = torch.full((400, 1), 1e6)
    wide = torch.cat([train * 1e4, constant], dim=1)
    axes, wide_axes = principal_axes(train), principal_axes(wide)
    assert float(wide_axes.inverse_std[-1]) == 0
    fits = []
    for own, rows in ((axes, train), (wide_axes, wide)):
        placed = own.apply(rows)
        regression = LogisticRegression(placed, known, own.variances, 5, 500)
        fits.append(predict(placed, regression.fit(0.1, torch.ones(400))))
    assert np.mean(fits[0] == fits[1]) > 0.995


def test_held_out_is_stratified_and_seeded():
    labels = np.array([0] * 50 + [1] * 20 + [2] * 2 + [3])
    mask = held_out(labels, 0.2, seed=0)
    assert [int(mask[labels == label].sum()) for label in range(4)] == [10, 4, 1, 0]
    assert (mask == held_out(labels, 0.2, seed=0)).all()
    assert (mask != held_out(labels, 0.2, seed=1)).any()
    assert [int(held_out(labels, 0.99, seed=0)[labels == label].sum()) for label in range(4)] == [49, 19, 1, 0]


def test_shots_are_balanced_nested_and_seeded():
    labels = np.array([0] * 50 + [1] * 20 + [2] * 2)
    five, ten = (draw_shots(labels, shots, 0, "test", 1) for shots in (5, 10))
    assert np.bincount(labels[five]).tolist() == [5, 5, 2] and np.bincount(labels[ten]).tolist() == [10, 10, 2]
    assert set(five) < set(ten)
    assert five.tolist() != draw_shots(labels, 5, 0, "test", 2).tolist()


def test_nothing_to_hold_out_is_a_user_error():
    given = given_of(made_features(5, 5), "toy")  # one image of each class
    with pytest.raises(UserError, match="no class of the train split has two images"):
        probe_answers(given, SETTINGS)


def test_several_labels_are_refused():
    with pytest.raises(UserError, match="the images of the task toy have several labels, and linear_probe knows one"):
        probe_answers(given_of(several_labels(20, 10), "toy"), SETTINGS)


def test_the_smallest_of_equally_good_values_is_chosen():
    # Classes far apart: every C is right on all held-out images.
    labels = torch.arange(60) % 2
    rows = torch.randn(60, 3, generator=torch.Generator().manual_seed(0)) + 100.0 * labels[:, None]
    axes = principal_axes(rows)
    placed = axes.apply(rows)
    regression = LogisticRegression(placed, labels, axes.variances, 2, 200)
    assert choose_c(regression, placed, labels.numpy(), SETTINGS, seed=0) == 0.01


def test_fewer_images_than_dimensions():
    features = made_features(25, 50, dims=200)
    answers = probe_answers(given_of(features, "toy"), SETTINGS)
    assert [answer.seed for answer in answers] == [0, 1]
    assert all(top1(answer.predicted, features.test_labels) > 20 for answer in answers)


def test_main(tmp_path: Path):
    rows, predictions = run_main(linear_probe, tmp_path, made_features(300, 100), SETTINGS)
    assert [(row["protocol"], row["seed"], row["metric"]) for row in rows] == [
        ("linear_lbfgs", seed, metric) for seed in "01" for metric in ("top1", "mean_per_class")
    ]
    assert all(row["n"] == "100" and row["chance"] == "20.0000" for row in rows)
    assert all(row["selected_on"].startswith("60 held-out train images") for row in rows)
    assert '"chosen":{"c":' in rows[0]["settings"]
    assert [each["seed"] for each in predictions] == ["0", "1"]
