"""Exact (Clopper-Pearson) bounds on a share of which a sample was seen.

Source: C. J. Clopper, E. S. Pearson, The use of confidence or fiducial limits illustrated in the case of the binomial,
1934. Exact for draws with replacement, and on the safe side for draws without.
"""

from __future__ import annotations

from scipy.stats import beta


def lower_bound(hits: int, n: int, confidence: float) -> float:
    """Return the share p at which `hits` or more of n have probability 1 - confidence; 0 for no hit."""
    _check(hits, n)
    return 0.0 if hits == 0 else float(beta.ppf(1 - confidence, hits, n - hits + 1))


def upper_bound(hits: int, n: int, confidence: float) -> float:
    """Return the share p at which `hits` or fewer of n have probability 1 - confidence; 1 when all are hits."""
    _check(hits, n)
    return 1.0 if hits == n else float(beta.ppf(confidence, hits + 1, n - hits))


def two_sided(hits: int, n: int, confidence: float) -> tuple[float, float]:
    """Return the interval that leaves out half of 1 - confidence on each side."""
    one_side = 1 - (1 - confidence) / 2
    return lower_bound(hits, n, one_side), upper_bound(hits, n, one_side)


def _check(hits: int, n: int) -> None:
    if not 0 <= hits <= n or n == 0:
        raise ValueError(f"{hits} hits of {n}")
