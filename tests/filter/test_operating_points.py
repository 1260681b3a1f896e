from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from scripts.filter.operating_points import Thresholds, choose_thresholds, make_folds, measure_scorer, share_of
from scripts.filter.tune_settings import TuneLimits


def limits(**values: Any) -> TuneLimits:
    base = {
        "wanted_recall": 0.9,
        "max_false_rejects": 0.1,
        "committees": (),
        "score_range": (0.05, 0.99),
        "ridge": 1.0,
        "reference": (),
        "confidence": 0.95,
        "folds": 5,
        "repeats": 3,
        "bootstrap": 100,
        "seed": 0,
    }
    return TuneLimits(**{**base, **values})


def images(n: int, shift: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, list[str]]:
    random = np.random.default_rng(seed)
    person = np.arange(n) % 2 == 0
    return sigmoid(random.normal(shift * person, 1)), person, [f"image{index:04}" for index in range(n)]


def sigmoid(odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-odds))


def test_a_band_is_chosen_only_where_one_threshold_does_not_do():
    scores, person, _ = images(200, 1.0)
    band = choose_thresholds(scores, person, "band", limits())
    assert band.review is not None and band.review < band.drop
    assert choose_thresholds(scores, person, "recall", limits()) == Thresholds(band.review, None)
    assert choose_thresholds(scores, person, "false_rejects", limits()) == Thresholds(band.drop, None)
    easy, person, _ = images(200, 6.0)
    single = choose_thresholds(easy, person, "band", limits())
    assert single == choose_thresholds(easy, person, "recall", limits())
    assert (easy[~person] >= single.drop).mean() <= 0.1


def test_folds_divide_each_group_evenly_and_depend_on_ids_alone():
    names = [f"x{index}" for index in range(103)]
    groups = ["a" if index < 33 else "b" if index < 36 else "c" for index in range(103)]
    folds = make_folds(names, groups, limits(), 0)
    for group, size in (("a", 33), ("b", 3), ("c", 67)):
        counts = Counter(fold for fold, each in zip(folds.tolist(), groups, strict=True) if each == group)
        assert max(counts.values()) - min([counts[fold] for fold in range(5)]) <= 1 and counts.total() == size
    assert max(Counter(folds.tolist()).values()) - min(Counter(folds.tolist()).values()) <= 1
    order = np.random.default_rng(0).permutation(103)
    shuffled = make_folds([names[i] for i in order], [groups[i] for i in order], limits(), 0)
    np.testing.assert_array_equal(shuffled, folds[order])
    assert (make_folds(names, groups, limits(), 1) != folds).any()
    assert (make_folds(names, groups, limits(seed=1), 0) != folds).any()


def test_points_of_a_detector_are_counted_where_chosen_and_held_out():
    scores, person, names = images(400, 1.5)
    options = limits()
    result = measure_scorer(
        "d", "detector", lambda rows: scores, person, image_ids=names, groups=[""] * 400, limits=options
    )
    points = {(point.aim, point.reading): point for point in result.points}
    assert len(points) == 6
    apparent = points["recall", "apparent"]
    assert apparent.people_dropped.share == (scores[person] >= apparent.drop).mean() >= 0.9
    assert apparent.others_dropped.share == (scores[~person] >= apparent.drop).mean()
    assert apparent.people_dropped.images == 200
    band = points["band", "apparent"]
    assert band.others_dropped.share <= 0.1
    assert band.people_dropped.share + band.people_in_review.share >= 0.9
    # By hand, the plain way: for each repeat and fold, choose on the others and count.
    counted = []
    for repeat in range(3):
        folds = make_folds(names, [""] * 400, options, repeat)
        for fold in range(5):
            chosen = choose_thresholds(scores[folds != fold], person[folds != fold], "recall", options)
            counted += [scores[i] >= chosen.drop for i in np.flatnonzero((folds == fold) & person)]
    assert points["recall", "held_out"].people_dropped.share == pytest.approx(np.mean(counted))
    assert points["recall", "held_out"].drop is None
    assert result.curve.area == result.curve.apparent_area


def test_a_scorer_that_learns_the_labels_by_heart_is_found_out():
    """Scores are the labels of the rows that it was fitted on and noise elsewhere: apparent 1, held out chance."""
    noise, person, names = images(400, 0.0, seed=1)

    def by_heart(rows: np.ndarray) -> np.ndarray:
        scores = noise.copy()
        scores[rows] = person[rows]
        return scores

    result = measure_scorer("c", "committee", by_heart, person, image_ids=names, groups=[""] * 400, limits=limits())
    assert result.curve.apparent_area == 1.0
    assert 0.4 < result.curve.area < 0.6
    points = {(point.aim, point.reading): point for point in result.points}
    assert points["recall", "apparent"].people_dropped.share == 1.0
    assert points["recall", "held_out"].people_dropped.share < 0.1  # the threshold is 1


def test_shares_have_exact_intervals():
    share = share_of(225, 227, 0.95)
    assert share.share == 225 / 227
    assert (share.low, share.high) == pytest.approx((0.96852, 0.99893), abs=1e-4)  # R: binom.test(225, 227)
    assert share_of(0, 0, 0.95).high == 1.0
