from __future__ import annotations

import itertools

import numpy as np
import pytest

from scripts.filter.roc import (
    area_interval,
    area_under_curve,
    roc_curve,
    threshold_for_false_rejects,
    threshold_for_recall,
)

SCORES = np.array([0.9, 0.8, 0.6, 0.6, 0.3, 0.85, 0.6, 0.2, 0.2, 0.1])
PERSON = np.array([True] * 5 + [False] * 5)


def made(seed: int, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    person = np.arange(n) % 3 == 0
    return np.round(random.random(n) * 0.7 + person * 0.3, 2), person  # rounded, so that there are ties


def shares(scores: np.ndarray, person: np.ndarray, threshold: float) -> tuple[float, float]:
    dropped = scores >= threshold
    return dropped[person].mean(), dropped[~person].mean()


@pytest.mark.parametrize(("wanted", "expected"), [(0.2, 0.9), (0.21, 0.8), (0.6, 0.6), (0.8, 0.6), (0.81, 0.3)])
def test_the_highest_threshold_that_has_the_recall(wanted: float, expected: float):
    assert threshold_for_recall(SCORES, PERSON, wanted) == expected
    assert shares(SCORES, PERSON, expected)[0] >= wanted
    assert shares(SCORES, PERSON, expected + 1e-4)[0] < wanted


@pytest.mark.parametrize(
    ("limit", "expected"), [(0.01, 0.8501), (0.2, 0.6001), (0.4, 0.2001), (0.79, 0.2001), (0.8, 0.1001)]
)
def test_the_lowest_threshold_that_keeps_the_false_rejects(limit: float, expected: float):
    assert threshold_for_false_rejects(SCORES, PERSON, limit) == pytest.approx(expected, abs=1e-12)
    assert shares(SCORES, PERSON, expected)[1] <= limit
    assert shares(SCORES, PERSON, expected - 1e-4)[1] > limit


def test_thresholds_of_scores_that_are_all_zero_drop_everything_or_nothing():
    scores, person = np.zeros(4), np.array([True, True, False, False])
    assert threshold_for_recall(scores, person, 0.99) == 0.0
    assert threshold_for_false_rejects(scores, person, 0.1) == 1e-4
    assert threshold_for_false_rejects(scores, person, 1.0) == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_the_curve_and_its_area_agree_with_counting(seed: int):
    scores, person = made(seed)
    false_rejects, recall = roc_curve(scores, person)
    expected = [shares(scores, person, level) for level in sorted(set(scores.tolist()), reverse=True)]
    np.testing.assert_allclose(np.stack([recall, false_rejects], axis=1), [(0, 0), *expected])
    pairs = list(itertools.product(scores[person], scores[~person]))
    counted = np.mean([1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs])
    assert area_under_curve(scores, person) == pytest.approx(counted)


def test_the_area_of_extremes():
    person = np.array([True, False] * 10)
    assert area_under_curve(person.astype(float), person) == 1.0
    assert area_under_curve(1.0 - person, person) == 0.0
    assert area_under_curve(np.full(20, 0.5), person) == 0.5


def test_the_bootstrap_agrees_with_a_plain_one_and_repeats_itself():
    scores, person = made(3, 240)
    options = {"confidence": 0.9, "resamples": 2000, "seed": 1}
    low, high = area_interval(scores, person, key="a", **options)
    assert (
        (low, high)
        == area_interval(scores, person, key="a", **options)
        != area_interval(scores, person, key="b", **options)
    )
    random = np.random.default_rng(0)
    plain = []
    for _ in range(2000):
        drawn = [random.choice(np.flatnonzero(each), each.sum()) for each in (person, ~person)]
        rows = np.concatenate(drawn)
        plain.append(area_under_curve(scores[rows], person[rows]))
    assert (low, high) == pytest.approx(tuple(np.quantile(plain, [0.05, 0.95])), abs=0.01)
    assert low < area_under_curve(scores, person) < high
