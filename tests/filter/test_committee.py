from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from scripts.filter.committee import committee_terms, fit_committee, fit_logistic
from scripts.filter.measured import Measured
from scripts.filter.rules import committee_scores, log_areas, log_odds, sigmoid
from scripts.filter.tune_settings import Committee

RANGE = (0.05, 0.99)


def found(seed: int, n: int = 200) -> tuple[dict[str, Measured], np.ndarray]:
    random = np.random.default_rng(seed)
    person = random.random(n) < 0.4
    scores = {name: np.clip(random.normal(0.3 + lift * person, 0.2), 0, 1) for name, lift in (("a", 0.3), ("b", 0.1))}
    return {name: Measured(each.astype(np.float32), random.random(n)) for name, each in scores.items()}, person


@pytest.mark.parametrize("ridge", [0.1, 1.0, 50.0])
def test_the_fit_agrees_with_scikit_learn(ridge: float):
    measured, person = found(0)
    terms = committee_terms(Committee(name="c", scores=("a", "b"), areas=("a",)), measured, RANGE)
    assert terms.shape == (200, 3)
    coefficients, bias = fit_logistic(terms, person, ridge)
    scaler = StandardScaler().fit(terms)
    peer = LogisticRegression(C=1 / ridge, tol=1e-10, max_iter=10_000).fit(scaler.transform(terms), person)
    np.testing.assert_allclose(terms @ coefficients + bias, peer.decision_function(scaler.transform(terms)), atol=1e-5)


def test_separable_classes_and_a_constant_term_have_a_finite_fit():
    terms = np.column_stack([np.linspace(-1, 1, 20), np.full(20, 3.0)])
    coefficients, bias = fit_logistic(terms, terms[:, 0] > 0, 1e-3)
    assert np.isfinite(coefficients).all() and np.isfinite(bias)
    assert coefficients[0] > 5 and coefficients[1] == pytest.approx(0, abs=1e-6)


def test_the_rule_is_what_was_fitted_and_its_thresholds_are_still_open():
    measured, person = found(1)
    committee = Committee(name="c", scores=("b", "a"), areas=("a",))
    rule = fit_committee(committee, measured, person, np.arange(200), score_range=RANGE, ridge=1.0)
    assert [voice.detector for voice in rule.voices] == ["b", "a"]
    assert rule.voices[0].area == 0 != rule.voices[1].area
    assert (rule.drop, rule.review) == (1.0, None)
    by_hand = rule.bias + sum(
        voice.score * log_odds(measured[voice.detector].scores, RANGE)
        + voice.area * log_areas(measured[voice.detector].areas)
        for voice in rule.voices
    )
    np.testing.assert_allclose(committee_scores(rule, measured), 1 / (1 + np.exp(-by_hand)))


def test_only_the_rows_given_are_fitted():
    measured, person = found(2)
    committee = Committee(name="c", scores=("a",), areas=())
    rows = np.arange(100)
    before = fit_committee(committee, measured, person, rows, score_range=RANGE, ridge=1.0)
    person[150] = not person[150]
    assert fit_committee(committee, measured, person, rows, score_range=RANGE, ridge=1.0) == before
    person[50] = not person[50]
    assert fit_committee(committee, measured, person, rows, score_range=RANGE, ridge=1.0) != before


def test_a_sigmoid_without_overflow():
    np.testing.assert_array_equal(sigmoid(np.array([-1e9, 0.0, 1e9])), [0, 0.5, 1])
