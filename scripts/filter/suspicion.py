"""Measurements that no real collection gives: a detector or rule that finds nothing anywhere or something everywhere.

Wrong weights, a wrong colour order or a wrong threshold do not crash. They keep a million photographs of people, or
drop all of a dataset, and every count adds up.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from scripts.filter.rule_settings import CommitteeRule, ScoreRule, detectors_of
from scripts.filter.rules import Found, at_least, committee_scores
from scripts.lib.errors import UserError

LOG = logging.getLogger(__name__)


def suspicions(
    rules: Sequence[ScoreRule | CommitteeRule], found: Found, tables: Mapping[str, str], images: int
) -> Iterable[str]:
    """Yield a clause for each detector, and each committee, that says the same of all of `images` images."""
    for name in sorted({name for rule in rules for name in detectors_of(rule)}):
        scores = found[name].scores
        mine = [rule for rule in rules if isinstance(rule, ScoreRule)]
        drops = [rule.drop[name] for rule in mine if name in rule.drop]
        reviews = [rule.review[name] for rule in mine if name in rule.review]
        where = f"the detector {name} ({tables[name]})"
        if not scores.any():
            yield f"{where} found nothing in any of {images} images"
        elif (drops or reviews) and not at_least(scores, lowest := min(drops + reviews)).any():
            yield f"{where} gives none of {images} images its lowest threshold {lowest:g} (highest: {scores.max():.3f})"
        elif drops and at_least(scores, min(drops)).all():
            yield f"{where} gives each of {images} images {min(drops):g} or more (lowest: {scores.min():.3f})"
    for rule in rules:
        if isinstance(rule, CommitteeRule):
            yield from _of_committee(rule, committee_scores(rule, found), images)


def _of_committee(rule: CommitteeRule, scores: np.ndarray, images: int) -> Iterable[str]:
    lowest = rule.drop if rule.review is None else rule.review
    if not at_least(scores, lowest).any():
        yield f"the rule {rule.name} gives none of {images} images {lowest:g} (highest: {scores.max():.3f})"
    elif at_least(scores, rule.drop).all():
        yield f"the rule {rule.name} gives each of {images} images {rule.drop:g} or more (lowest: {scores.min():.3f})"


def check_measurements(
    rules: Sequence[ScoreRule | CommitteeRule],
    found: Found,
    tables: Mapping[str, str],
    images: int,
    suspicious_from: int | None,
) -> None:
    """Stop when what was measured on many images cannot be right; few images are only a line of the log.

    Raises:
        UserError: on at least `suspicious_from` images, a detector or rule finds nothing or something in every one.
    """
    odd = list(suspicions(rules, found, tables, images)) if images else []
    if suspicious_from is None or images < suspicious_from:
        for clause in odd:
            LOG.warning("%s: look at it, unless so few images explain it", clause)
        return
    if odd:
        raise UserError(
            f"{'; '.join(odd)}. No collection of that size is likely to be so. Usual causes: other weights than the "
            "entry of the detector says (layout, backbone), a wrong colour order or scale of the pixels, a threshold "
            "in filter.rules that is far off. No verdict was written and no measurement is lost: correct the entry "
            "in the config and run again, which measures only what the change touches. If the images really are so (a "
            f"source without people, for example), set filter.judge.suspicious_from above {images}, or to null"
        )
