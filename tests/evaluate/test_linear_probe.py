from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression as Reference

from scripts.evaluate.features import Features, save_features
from scripts.evaluate.linear_probe import choose_c, held_out, main, probe_rows
from scripts.evaluate.logistic import LogisticRegression, predict, principal_axes
from scripts.evaluate.settings import LinearProbeSettings
from scripts.lib.errors import UserError

SETTINGS = LinearProbeSettings(c_values=(1.0, 0.01), holdout_share=0.2, max_iterations=500, seeds=(0, 1))


def made_features(train: int, test: int, dims: int = 40, classes: int = 5, seed: int = 0) -> Features:
    """Correlated, non-negative features of overlapping classes, as a network's last layer gives."""
    random = np.random.default_rng(seed)
    mix = random.normal(size=(dims, dims)) * (np.arange(1, dims + 1) ** -0.8)[:, None]
    centres = random.normal(size=(classes, dims))
    parts: list[torch.Tensor] = []
    for count in (train, test):
        labels = np.arange(count) % classes
        vectors = np.maximum((centres[labels] + random.normal(size=(count, dims))) @ mix, 0)
        parts += [torch.from_numpy(vectors.astype(np.float32)), torch.from_numpy(labels)]
    names = [str(label) for label in range(classes)]
    return Features(*parts, description={"task": "toy", "class_names": names, "encoder": {}})


def naive_objective(
    rows: np.ndarray, labels: np.ndarray, slopes: np.ndarray, intercepts: np.ndarray, c: float
) -> float:
    """Mean log-loss plus |W|^2 / (2 C n), in float64."""
    scores = rows @ slopes.T + intercepts
    scores -= scores.max(axis=1, keepdims=True)
    log_p = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    return float(-log_p[np.arange(len(labels)), labels].mean() + (slopes**2).sum() / (2 * c * len(labels)))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("c", [0.001, 0.1, 10.0, 100.0])
def test_agrees_with_scikit_learn(c: float, seed: int):
    features = made_features(1500, 2000, seed=seed)
    axes = principal_axes(features.train_features)
    train, test = axes.apply(features.train_features), axes.apply(features.test_features)
    regression = LogisticRegression(train, features.train_labels, axes.variances, 5, 1000)
    found = regression.fit(c, torch.ones(len(train)))
    # The reference sees features that are standardised and not rotated: the rotation must not change the optimum.
    standard = [
        ((part.double() - axes.mean) * axes.inverse_std).numpy()
        for part in (features.train_features, features.test_features)
    ]
    train_labels, labels = features.train_labels.numpy(), features.test_labels.numpy()
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
    features = made_features(300, 10)
    axes = principal_axes(features.train_features)
    rows, labels = axes.apply(features.train_features), features.train_labels
    weights = (torch.arange(300) >= 60).float()
    weighted = LogisticRegression(rows, labels, axes.variances, 5, 500).fit(0.1, weights)
    cut = LogisticRegression(rows[60:], labels[60:], axes.variances, 5, 500).fit(0.1, torch.ones(240))
    assert torch.allclose(weighted, cut, atol=2e-3)
    # A warm start ends where a cold one does, up to a shift of all intercepts, which no probability sees.
    warm = LogisticRegression(rows, labels, axes.variances, 5, 500).fit(0.1, weights, start=cut + 0.5)
    warm[:, -1] -= (warm - cut)[:, -1].mean()
    assert torch.allclose(warm, cut, atol=2e-3)


def test_features_that_do_not_vary_or_have_any_scale():
    features = made_features(400, 200)
    constant = torch.full((400, 1), 1e6)
    wide = torch.cat([features.train_features * 1e4, constant], dim=1)
    axes, wide_axes = principal_axes(features.train_features), principal_axes(wide)
    assert float(wide_axes.inverse_std[-1]) == 0
    fits = []
    for own, rows in ((axes, features.train_features), (wide_axes, wide)):
        placed = own.apply(rows)
        regression = LogisticRegression(placed, features.train_labels, own.variances, 5, 500)
        fits.append(predict(placed, regression.fit(0.1, torch.ones(400))))
    assert np.mean(fits[0] == fits[1]) > 0.995


def test_held_out_is_stratified_and_seeded():
    labels = np.array([0] * 50 + [1] * 20 + [2] * 2 + [3])
    mask = held_out(labels, 0.2, seed=0)
    assert [int(mask[labels == label].sum()) for label in range(4)] == [10, 4, 1, 0]
    assert (mask == held_out(labels, 0.2, seed=0)).all()
    assert (mask != held_out(labels, 0.2, seed=1)).any()
    assert [int(held_out(labels, 0.99, seed=0)[labels == label].sum()) for label in range(4)] == [49, 19, 1, 0]


def test_nothing_to_hold_out_is_a_user_error():
    features = made_features(5, 5)  # one image of each class
    with pytest.raises(UserError, match="no class of the train split has two images"):
        probe_rows(features, SETTINGS, "r", "t")


def test_the_choice_and_the_fit_never_see_the_test_labels():
    features = made_features(400, 300)
    turned = Features(
        features.train_features,
        features.train_labels,
        features.test_features,
        (features.test_labels + 1) % 5,
        features.description,
    )
    right = {row[6]: float(row[4]) for row in probe_rows(features, SETTINGS, "r", "t") if row[3] == "top1"}
    wrong = {row[6]: float(row[4]) for row in probe_rows(turned, SETTINGS, "r", "t") if row[3] == "top1"}
    assert right.keys() == wrong.keys() == {"0", "1"}
    assert all(right[seed] > 60 and wrong[seed] < 20 for seed in right)


def test_the_smallest_of_equally_good_values_is_chosen():
    # Classes far apart: every C is right on all held-out images.
    labels = torch.arange(60) % 2
    rows = torch.randn(60, 3, generator=torch.Generator().manual_seed(0)) + 100.0 * labels[:, None]
    axes = principal_axes(rows)
    placed = axes.apply(rows)
    regression = LogisticRegression(placed, labels, axes.variances, 2, 200)
    assert choose_c(regression, placed, labels.numpy(), SETTINGS, seed=0) == 0.01


def test_fewer_images_than_dimensions():
    rows = probe_rows(made_features(25, 50, dims=200), SETTINGS, "r", "t")
    assert all(0 <= float(row[4]) <= 100 for row in rows)
    assert len(rows) == 4


def test_main(tmp_path: Path):
    save_features(tmp_path / "features", made_features(300, 100))
    arguments = ["--recipe", SETTINGS.model_dump_json(), "--run", "r", "--task", "t"]
    arguments += ["--features", str(tmp_path / "features"), "--threads", "1"]
    for name in ("first", "second"):
        main([*arguments, "--out", str(tmp_path / name)])
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    with (tmp_path / "first").open() as handle:
        rows = list(csv.DictReader(handle))
    assert [(row["protocol"], row["seed"], row["metric"]) for row in rows] == [
        ("linear_lbfgs", seed, metric) for seed in "01" for metric in ("top1", "mean_per_class")
    ]
    assert all(row["n"] == "100" and row["chance"] == "20.0000" for row in rows)
