"""Operating points of one detector or committee, counted twice: where they were chosen, and on images held out.

An apparent figure flatters: threshold, and a committee's coefficients, fit the very images that are counted. So the
images are divided into folds; for each fold everything is chosen on the others and counted on it. Each image is held
out once in each repeat, and the share that is reported is the mean over the repeats.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from scripts.filter.roc import (
    Flags,
    Scores,
    area_interval,
    area_under_curve,
    threshold_for_false_rejects,
    threshold_for_recall,
)
from scripts.filter.rules import at_least
from scripts.filter.tune_settings import TuneLimits
from scripts.lib.binomial import two_sided
from scripts.lib.draws import rank
from scripts.lib.tune_figures import Curve, Point, Share

Rows = npt.NDArray[np.int64]
Aim = Literal["recall", "false_rejects", "band"]
AIMS: tuple[Aim, ...] = ("recall", "false_rejects", "band")
# Rows to fit on → scores of all images. A detector's scores are what they are; a committee is fitted on the rows.
Scorer = Callable[[Rows], Scores]


@dataclass(frozen=True)
class Thresholds:
    """Where an image is dropped, and where it goes to a reviewer."""

    drop: float
    review: float | None


def choose_thresholds(scores: Scores, person: Flags, aim: Aim, limits: TuneLimits) -> Thresholds:
    """Return the thresholds for an aim. `band` has no band where one threshold gives recall and false rejects."""
    for_recall = threshold_for_recall(scores, person, limits.wanted_recall)
    if aim == "recall":
        return Thresholds(for_recall, None)
    for_false_rejects = threshold_for_false_rejects(scores, person, limits.max_false_rejects)
    if aim == "false_rejects":
        return Thresholds(for_false_rejects, None)
    return Thresholds(for_false_rejects, for_recall) if for_recall < for_false_rejects else Thresholds(for_recall, None)


def make_folds(image_ids: Sequence[str], groups: Sequence[str], limits: TuneLimits, repeat: int) -> Rows:
    """Return the fold of each image: [n]. Each group is divided evenly; an image's fold depends on ids alone."""
    members: dict[str, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        members[group].append(index)
    folds = np.empty(len(image_ids), np.int64)
    start = 0
    for group in sorted(members):
        ordered = sorted(members[group], key=lambda index: rank(limits.seed, f"fold/{repeat}", image_ids[index]))
        # Small groups go on where the one before ended, or fold 0 would get the first of each.
        folds[ordered] = (start + np.arange(len(ordered))) % limits.folds
        start += len(ordered)
    return folds


def share_of(hits: float, images: int, confidence: float) -> Share:
    """Return a share and its Clopper-Pearson interval; a mean count of several repeats is rounded for the interval."""
    if images == 0:
        return Share(share=0.0, low=0.0, high=1.0, images=0)
    low, high = two_sided(round(hits), images, confidence)
    return Share(share=hits / images, low=low, high=high, images=images)


class Tally:
    """How often each image was dropped and sent to review, over all times that it was counted."""

    def __init__(self, images: int) -> None:
        self.dropped, self.in_review, self.times = np.zeros(images), np.zeros(images), np.zeros(images)

    def count(self, rows: Rows, scores: Scores, thresholds: Thresholds) -> None:
        """Count `rows` at `thresholds`."""
        dropped = at_least(scores[rows], thresholds.drop)
        self.times[rows] += 1
        self.dropped[rows] += dropped
        if thresholds.review is not None:
            self.in_review[rows] += at_least(scores[rows], thresholds.review) & ~dropped

    def point(self, person: Flags, confidence: float, **of: object) -> Point:
        """Return the shares of both classes."""
        dropped, in_review = self.dropped / self.times, self.in_review / self.times
        shares = {
            f"{name}_{what}": share_of(float(hits[who].sum()), int(who.sum()), confidence)
            for name, who in (("people", person), ("others", ~person))
            for what, hits in (("dropped", dropped), ("in_review", in_review))
        }
        return Point.model_validate({**of, **shares})


@dataclass(frozen=True)
class Measurement:
    """What is known of one scorer."""

    curve: Curve
    points: tuple[Point, ...]
    scores: Scores  # of the ROC curve: of a committee the mean of those of images that it was not fitted on


def measure_scorer(
    name: str,
    kind: Literal["detector", "committee"],
    scorer: Scorer,
    person: Flags,
    *,
    image_ids: Sequence[str],
    groups: Sequence[str],
    limits: TuneLimits,
) -> Measurement:
    """Return curve and operating points of a scorer, apparent and held out."""
    everything = np.arange(len(person))
    fitted = scorer(everything)
    held_out = {aim: Tally(len(person)) for aim in AIMS}
    unseen = np.zeros(len(person))
    for repeat in range(limits.repeats):
        folds = make_folds(image_ids, groups, limits, repeat)
        for fold in range(limits.folds):
            train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            scores = scorer(train)
            unseen[test] += scores[test] / limits.repeats
            for aim, tally in held_out.items():
                tally.count(test, scores, choose_thresholds(scores[train], person[train], aim, limits))
    points = []
    for aim in AIMS:
        thresholds = choose_thresholds(fitted, person, aim, limits)
        apparent = Tally(len(person))
        apparent.count(everything, fitted, thresholds)
        of = {"scorer": name, "aim": aim}
        chosen = {"drop": thresholds.drop, "review": thresholds.review}
        points += [
            apparent.point(person, limits.confidence, reading="apparent", **of, **chosen),
            held_out[aim].point(person, limits.confidence, reading="held_out", **of, drop=None, review=None),
        ]
    scores = fitted if kind == "detector" else unseen
    low, high = area_interval(
        scores, person, confidence=limits.confidence, resamples=limits.bootstrap, seed=limits.seed, key=name
    )
    curve = Curve(
        scorer=name,
        kind=kind,
        area=area_under_curve(scores, person),
        low=low,
        high=high,
        apparent_area=area_under_curve(fitted, person),
    )
    return Measurement(curve, tuple(points), scores)
