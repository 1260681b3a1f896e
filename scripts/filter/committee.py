"""Fit a committee: a logistic model of the detectors' scores with a handful of coefficients."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from scripts.filter.rule_settings import CommitteeRule, Voice
from scripts.filter.rules import Found, log_areas, log_odds, sigmoid
from scripts.filter.tune_settings import Committee

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
ITERATIONS, TOLERANCE = 100, 1e-10
DIGITS = 4  # of coefficients; rounded before any threshold is chosen, so that a copied rule is the one measured


def committee_terms(committee: Committee, found: Found, score_range: tuple[float, float]) -> Floats:
    """Return the terms of a committee: [n, scores + areas]."""
    scores = [log_odds(found[name].scores, score_range) for name in committee.scores]
    areas = [log_areas(found[name].areas) for name in committee.areas]
    return np.stack([*scores, *areas], axis=1)


def fit_logistic(terms: Floats, person: Flags, ridge: float) -> tuple[Floats, float]:
    """Return coefficients and bias of the logistic model of `terms` [n, k] with the highest penalised likelihood.

    Newton's method on standardised terms; the penalty is ridge / 2 times the sum of their squared coefficients. Each
    step is halved until the penalised loss falls, so that it ends also where classes are separable.
    """
    mean, deviation = terms.mean(axis=0), terms.std(axis=0)
    scale = np.where(deviation > 0, deviation, 1.0)
    design = np.column_stack([(terms - mean) / scale, np.ones(len(terms))])
    penalty = np.append(np.full(terms.shape[1], ridge), 0.0)
    target = person.astype(np.float64)

    def loss(weights: Floats) -> float:
        odds = design @ weights
        return float(np.logaddexp(0, odds).sum() - target @ odds + penalty @ weights**2 / 2)

    weights = np.zeros(design.shape[1])
    for _ in range(ITERATIONS):
        chance = sigmoid(design @ weights)
        gradient = design.T @ (chance - target) + penalty * weights
        curvature = (design * (chance * (1 - chance))[:, None]).T @ design + np.diag(penalty)
        step = np.linalg.solve(curvature + 1e-12 * np.eye(len(weights)), gradient)
        size = 1.0
        while size > 1e-6 and loss(weights - size * step) > loss(weights):
            size /= 2
        weights = weights - size * step
        if np.abs(size * step).max() < TOLERANCE:
            break
    coefficients = weights[:-1] / scale
    return coefficients, float(weights[-1] - coefficients @ mean)


def fit_committee(
    committee: Committee,
    found: Found,
    person: Flags,
    rows: npt.NDArray[np.int64],
    *,
    score_range: tuple[float, float],
    ridge: float,
) -> CommitteeRule:
    """Return the rule fitted on `rows`; its thresholds are placeholders (drop at 1, no review)."""
    terms = committee_terms(committee, found, score_range)
    coefficients, bias = fit_logistic(terms[rows], person[rows], ridge)
    of_score = dict(zip(committee.scores, coefficients, strict=False))
    of_area = dict(zip(committee.areas, coefficients[len(committee.scores) :], strict=True))
    voices = tuple(
        Voice(detector=name, score=_rounded(of_score[name]), area=_rounded(of_area.get(name, 0.0)))
        for name in committee.scores
    )
    return CommitteeRule(
        name=committee.name,
        reason="person",
        combine="logistic",
        bias=_rounded(bias),
        voices=voices,
        score_range=score_range,
        drop=1.0,
        review=None,
    )


def _rounded(number: float) -> float:
    return round(float(number), DIGITS) + 0.0  # no minus zero
