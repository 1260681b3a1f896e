from __future__ import annotations

import math

import numpy as np
import pytest

from scripts.pretrain.contract import Position
from scripts.pretrain.schedules import half_cosine, ramp, warm_up_then_cosine


@pytest.mark.parametrize(("epochs", "warm_up"), [(5, 2), (5, 0), (3, 1), (1, 0)])
def test_as_the_official_arrays(epochs: int, warm_up: int) -> None:
    """SwAV's and DINO's scripts lay out the whole schedule before the first step."""
    per_epoch, first, peak, final = 7, 0.3, 4.8, 0.0048
    rest = per_epoch * (epochs - warm_up)
    cosine = [final + 0.5 * (peak - final) * (1 + math.cos(math.pi * t / rest)) for t in range(rest)]
    expected = [*np.linspace(first, peak, per_epoch * warm_up), *cosine]
    positions = [Position(step, per_epoch, epochs) for step in range(per_epoch * epochs)]
    assert [warm_up_then_cosine(each, warm_up, first, peak, final) for each in positions] == pytest.approx(expected)


def test_ends() -> None:
    assert [ramp(index, 3, 0.0, 1.0) for index in range(3)] == [0, 0.5, 1] and ramp(0, 1, 0.2, 0.9) == 0.2
    assert half_cosine(0, 10, 0.996, 1.0) == pytest.approx(0.996) and half_cosine(5, 10, 0.0, 1.0) == pytest.approx(0.5)
