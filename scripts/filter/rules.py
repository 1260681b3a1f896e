"""The rules on the detectors' scores, applied to all images of a table at once.

Drops come before reviews: the first rule, in the order of the config, that drops an image gives its reason; an image
that none drops and some rule finds too high to keep waits for a reviewer. So nobody is asked to look at a picture that
another rule drops anyway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from scripts.filter.measured import Floats, Measured
from scripts.filter.rule_settings import CommitteeRule, ScoreRule
from scripts.lib.reasons import FilterReason

Flags = npt.NDArray[np.bool_]
Judgement = tuple[str, str]  # reason ("" = nothing speaks against it), evidence
Found = Mapping[str, Measured]  # detector → what it measured, all in the same order of images

# A best box below a ten-thousandth of the picture (5 x 4 pixels of 500 x 375) is no smaller to a committee.
SMALLEST_AREA = 1e-4


def at_least(scores: npt.ArrayLike, threshold: float) -> Flags:
    """Return score >= threshold, both in the precision of the tables: 0.7 as float32 is a little less than 0.7."""
    return np.asarray(np.asarray(scores, np.float32) >= np.float32(threshold))


def log_odds(scores: npt.ArrayLike, score_range: tuple[float, float]) -> Floats:
    """Return log(s / (1 - s)) of scores cut to `score_range`."""
    cut = np.clip(np.asarray(scores, np.float64), *score_range)
    return np.asarray(np.log(cut / (1 - cut)))


def log_areas(areas: Floats) -> Floats:
    """Return the logarithm of areas as shares of the picture, cut at `SMALLEST_AREA`."""
    return np.asarray(np.log(np.clip(areas, SMALLEST_AREA, 1)))


def sigmoid(odds: Floats) -> Floats:
    """Return 1 / (1 + exp(-odds)) without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * odds)))


def committee_scores(rule: CommitteeRule, found: Found) -> Floats:
    """Return a committee's probability that a person is in the picture: [n]."""
    odds: Floats = np.float64(rule.bias)  # type: ignore[assignment]  # broadcasts
    for voice in rule.voices:
        measured = found[voice.detector]
        odds = odds + voice.score * log_odds(measured.scores, rule.score_range) + voice.area * log_areas(measured.areas)
    return sigmoid(np.asarray(odds))


class Ruling:
    """What one rule says of each image."""

    def __init__(self, rule: ScoreRule | CommitteeRule, found: Found) -> None:
        self.rule = rule
        self.found = found
        self.scores = committee_scores(rule, found) if isinstance(rule, CommitteeRule) else None

    def _parts(self, review: bool) -> list[tuple[str, npt.ArrayLike, float]]:
        """Return (name, scores, threshold) of everything that is compared."""
        if isinstance(self.rule, CommitteeRule):
            threshold = self.rule.review if review else self.rule.drop
            return [] if threshold is None or self.scores is None else [("", self.scores, threshold)]
        thresholds = self.rule.review if review else self.rule.drop
        return [(name, self.found[name].scores, thresholds[name]) for name in sorted(thresholds)]

    def says(self, images: int, review: bool) -> Flags:
        """Return which of `images` images are at or above a threshold to review, or else to drop: [n]."""
        flags = np.zeros(images, bool)
        for _, scores, threshold in self._parts(review):
            flags |= at_least(scores, threshold)
        return flags

    def evidence(self, index: int, review: bool) -> str:
        """Return what the verdict on an image rests on, e.g. `person: nanodet 0.912 >= 0.5`."""
        told = [
            f"{name} {np.asarray(scores)[index]:.3f} >= {threshold:g}".lstrip()
            for name, scores, threshold in self._parts(review)
            if at_least(np.asarray(scores)[index], threshold)
        ]
        text = f"{self.rule.name}: {'; '.join(told)}"
        if isinstance(self.rule, CommitteeRule):
            text += (
                f" ({', '.join(f'{v.detector} {self.found[v.detector].scores[index]:.3f}' for v in self.rule.voices)})"
            )
        return f"review by {text}" if review else text


def apply_rules(rules: Sequence[ScoreRule | CommitteeRule], found: Found, images: int) -> list[Judgement]:
    """Return reason and evidence for each of `images` images; ("", "") where no rule speaks."""
    judged: list[Judgement] = [("", "")] * images
    rulings = [Ruling(rule, found) for rule in rules]
    for review in (False, True):
        for ruling in rulings:
            reason = str(FilterReason.AWAITS_REVIEW if review else ruling.rule.reason)
            for index in np.flatnonzero(ruling.says(images, review)).tolist():
                if not judged[index][0]:
                    judged[index] = (reason, ruling.evidence(index, review))
    return judged
