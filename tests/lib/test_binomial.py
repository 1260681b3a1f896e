from __future__ import annotations

from fractions import Fraction
from math import comb

import pytest
from scipy.stats import binomtest

from scripts.lib.binomial import lower_bound, two_sided, upper_bound


def at_most(hits: int, n: int, p: float) -> float:
    share = Fraction(p)
    return float(sum(comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(hits + 1)))


def test_the_sentence_of_the_ethics_board():
    """None of 2,995: below 0.1 % at 95 %; none of 29,956: below 100 per million; one image fewer is not enough."""
    assert upper_bound(0, 2995, 0.95) == pytest.approx(1 - 0.05 ** (1 / 2995), rel=1e-12)
    assert upper_bound(0, 2995, 0.95) < 0.001 < upper_bound(0, 2994, 0.95)
    assert upper_bound(0, 29956, 0.95) < 1e-4 < upper_bound(0, 29955, 0.95)


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (1, 1), (0, 20), (3, 20), (19, 20), (20, 20), (5, 300)])
def test_bounds_are_where_the_tail_has_the_asked_weight(hits: int, n: int):
    if hits < n:
        assert at_most(hits, n, upper_bound(hits, n, 0.95)) == pytest.approx(0.05, rel=1e-6)
    else:
        assert upper_bound(hits, n, 0.95) == 1
    if hits:
        assert 1 - at_most(hits - 1, n, lower_bound(hits, n, 0.95)) == pytest.approx(0.05, rel=1e-6)
    else:
        assert lower_bound(hits, n, 0.95) == 0


@pytest.mark.parametrize(("hits", "n", "confidence"), [(0, 30, 0.95), (1, 30, 0.9), (7, 30, 0.99), (30, 30, 0.95)])
def test_the_interval_is_that_of_scipy(hits: int, n: int, confidence: float):
    assert two_sided(hits, n, confidence) == pytest.approx(binomtest(hits, n).proportion_ci(confidence), abs=1e-9)


@pytest.mark.parametrize(("hits", "n"), [(-1, 3), (4, 3), (0, 0)])
def test_what_cannot_be_is_refused(hits: int, n: int):
    with pytest.raises(ValueError, match=f"{hits} hits of {n}"):
        upper_bound(hits, n, 0.95)
