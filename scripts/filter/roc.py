"""Thresholds, curves and their uncertainty, for scores of images with and without people.

In all functions an image is dropped when its score is at or above the threshold. Recall is the share of the images with
people that are dropped, false rejects the share of the others.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from scripts.lib.draws import generator

Scores = npt.NDArray[np.float64]  # [n]
Flags = npt.NDArray[np.bool_]  # [n], True: a person can be seen
STEP, DIGITS = 1e-4, 4  # thresholds are given in such steps, so that a copied one is the one that was measured


def threshold_for_recall(scores: Scores, person: Flags, wanted: float) -> float:
    """Return the highest threshold, in steps of `STEP`, with at least the wanted recall."""
    people = np.sort(scores[person])[::-1]
    lowest = float(people[max(math.ceil(wanted * len(people) - 1e-9), 1) - 1])  # of those that must be dropped
    return round(max(0, math.floor(lowest / STEP + 1e-9)) * STEP, DIGITS)


def threshold_for_false_rejects(scores: Scores, person: Flags, limit: float) -> float:
    """Return the lowest threshold, in steps of `STEP`, with at most the allowed share of false rejects."""
    others = np.sort(scores[~person])[::-1]
    allowed = math.floor(limit * len(others) + 1e-9)
    if allowed >= len(others):
        return 0.0
    return round((math.floor(float(others[allowed]) / STEP + 1e-9) + 1) * STEP, DIGITS)


def roc_curve(scores: Scores, person: Flags) -> tuple[Scores, Scores]:
    """Return false rejects and recall at every threshold that the scores tell apart, from (0, 0) to (1, 1)."""
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    recall = np.cumsum(person[order])[ends] / person.sum()
    false_rejects = np.cumsum(~person[order])[ends] / (~person).sum()
    return np.append(0.0, false_rejects), np.append(0.0, recall)


def area_under_curve(scores: Scores, person: Flags) -> float:
    """Return the chance that an image with people has the higher score; ties count half."""
    false_rejects, recall = roc_curve(scores, person)
    return float(np.trapezoid(recall, false_rejects))


def area_interval(
    scores: Scores, person: Flags, *, confidence: float, resamples: int, seed: int, key: str
) -> tuple[float, float]:
    """Return the percentile interval of the area under the curve over bootstrap resamples of each class."""
    random = generator(seed, "bootstrap", key)
    people, others = np.sort(scores[person]), np.sort(scores[~person])
    levels = np.unique(scores)
    areas = np.empty(resamples)
    for index in range(resamples):
        drawn = np.searchsorted(levels, people[random.integers(len(people), size=len(people))])
        against = np.searchsorted(levels, others[random.integers(len(others), size=len(others))])
        below = np.cumsum(np.bincount(against, minlength=len(levels)))
        equal = below - np.append(0, below[:-1])
        areas[index] = (below[drawn] - equal[drawn] / 2).mean() / len(others)
    low, high = np.quantile(areas, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
