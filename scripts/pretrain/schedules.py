"""Values that follow the step or the epoch, as functions of the position alone."""

from __future__ import annotations

import math

from scripts.pretrain.contract import Position


def ramp(index: int, count: int, first: float, last: float) -> float:
    """Return value `index` of `count` equally spaced ones from `first` to `last`, as `numpy.linspace` lays them."""
    return first if count == 1 else first + (last - first) * index / (count - 1)


def half_cosine(step: int, steps: int, first: float, last: float) -> float:
    """Return the value at `step` of half a cosine that would reach `last` one step after the end."""
    return last + 0.5 * (first - last) * (1 + math.cos(math.pi * step / steps))


def warm_up_then_cosine(position: Position, warm_up_epochs: int, first: float, peak: float, final: float) -> float:
    """Return a linear rise from `first` to `peak` over the warm-up, then half a cosine towards `final`, by steps."""
    warm_up = warm_up_epochs * position.steps_per_epoch
    if position.step < warm_up:
        return ramp(position.step, warm_up, first, peak)
    return half_cosine(position.step - warm_up, position.total_steps - warm_up, peak, final)
