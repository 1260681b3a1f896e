"""Class C: whether two sets of trainings, each with several seeds, have the same final figure.

A figure of one training says nothing here: seeds alone move it. From three seeds on, the new mean must lie in the
prediction interval of the recorded ones, and two one-sided tests (Schuirmann 1987) must place the difference inside a
margin that was fixed before. Outside the interval is a difference; inside it without the tests is undecidable.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from scripts.audit.findings import CONSISTENT, DIFFERENT, UNDECIDABLE

LEAST_SEEDS = 3
MARGIN = 0.5  # points of a metric in percent
LEVEL = 0.05


class Equivalence(NamedTuple):
    """What two sets of figures are to each other."""

    verdict: str
    text: str


def judge_figures(
    recorded: Sequence[float], new: Sequence[float], margin: float = MARGIN, *, of: int = 1
) -> Equivalence:
    """Compare final figures, one for each seed; both sets are taken to scatter alike (pooled variance).

    Args:
        recorded: of the run on record.
        new: of the other.
        margin: difference that does not matter, in the figures' unit.
        of: how many figures are compared: a false alarm in any of them has a probability of 5 % at most (Bonferroni).
    """
    n, m = len(recorded), len(new)
    if n < LEAST_SEEDS or m < 1:
        return Equivalence(UNDECIDABLE, f"{n} seeds on record and {m} to compare: {LEAST_SEEDS} on record are needed")
    a, b = np.asarray(recorded, dtype=np.float64), np.asarray(new, dtype=np.float64)
    difference, freedom = float(b.mean() - a.mean()), n + m - 2
    squares = float(((a - a.mean()) ** 2).sum() + ((b - b.mean()) ** 2).sum())
    error = math.sqrt(squares / freedom) * math.sqrt(1 / n + 1 / m)
    half = float(stats.t.ppf(1 - LEVEL / of / 2, freedom)) * error  # of the interval in which the new mean is expected
    inner = float(stats.t.ppf(1 - LEVEL, freedom)) * error  # of that which the two tests keep inside the margin
    said = (
        f"{a.mean():.2f} ± {a.std(ddof=1):.2f} ({n} seeds) on record, {b.mean():.2f} ({m} seeds) to compare; "
        f"± {half:.2f} is expected"
    )
    if abs(difference) > half:
        return Equivalence(DIFFERENT, f"{said}: outside the prediction interval")
    if abs(difference) + inner >= margin:
        return Equivalence(UNDECIDABLE, f"{said}, which is too wide to show a difference below {margin:g} points")
    return Equivalence(CONSISTENT, f"{said}, and any difference is below {margin:g} points")
