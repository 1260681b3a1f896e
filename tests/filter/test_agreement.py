from __future__ import annotations

from itertools import product
from typing import get_args

import pytest
from sklearn.metrics import cohen_kappa_score

from scripts.filter.agreement import agreement_lines, cohen_kappa, measure_agreement
from scripts.filter.human_verdicts import Word

WORDS: tuple[Word, ...] = get_args(Word)


def test_kappa_by_hand():
    # 50 images: both keep 20, both drop 15, 5 and 10 differ. Observed 0.7, expected 0.5 * 0.6 + 0.5 * 0.4 = 0.5.
    first: list[Word] = ["keep"] * 25 + ["drop"] * 25
    second: list[Word] = ["keep"] * 20 + ["drop"] * 5 + ["keep"] * 10 + ["drop"] * 15
    assert cohen_kappa(first, second) == pytest.approx(0.4)
    assert cohen_kappa(first, first) == 1
    assert cohen_kappa(["keep", "drop"], ["drop", "keep"]) == -1
    assert cohen_kappa(["keep"] * 5, ["keep"] * 5) is None
    assert cohen_kappa([], []) is None


def test_kappa_is_that_of_scikit_learn():
    checked = 0
    for first, second in product(product(WORDS, repeat=4), repeat=2):
        if len(set(first) | set(second)) == 2:
            assert cohen_kappa(list(first), list(second)) == pytest.approx(cohen_kappa_score(first, second))
            checked += 1
    assert checked == 254


def test_only_images_with_two_reviewers_count():
    said: dict[tuple[str, str], Word] = {
        ("a", "Ann"): "keep",
        ("a", "Bob"): "keep",
        ("b", "Bob"): "drop",
        ("b", "Ann"): "keep",
        ("b", "Cy"): "keep",
        ("c", "Cy"): "drop",
    }
    found = measure_agreement(said)
    assert (found.images, found.agree) == (2, 1)
    assert [(pair.reviewers, pair.images, pair.agree, pair.kappa) for pair in found.pairs] == [
        (("Ann", "Bob"), 2, 1, 0.0),
        (("Ann", "Cy"), 1, 1, None),
        (("Bob", "Cy"), 1, 0, 0.0),
    ]
    assert agreement_lines(found)[0] == "2 images have two or more reviewers, 1 (50.0 %) equal verdicts"
    assert "Ann and Cy: 1 images, 1 equal, Cohen's kappa not defined" in agreement_lines(found)[2]
    assert agreement_lines(measure_agreement({("a", "Ann"): "keep"})) == []


def test_a_name_cannot_act_in_the_log():
    said: dict[tuple[str, str], Word] = {("a", "\x1b[31mAnn\nINFO"): "keep", ("a", "Bob"): "drop"}
    assert all(line.isprintable() for line in agreement_lines(measure_agreement(said)))
