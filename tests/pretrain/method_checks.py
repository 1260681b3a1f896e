"""What holds for every method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn

Built = TypeVar("Built", bound=nn.Module)


def built_from_its_run(method: Callable[..., Built]) -> tuple[Built, Built]:
    """Check that a method is a function of its run and draws nothing from torch's generator.

    Returns it as built with the run's seed and with another.
    """
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, second, other = method(), method(), method(seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    state: dict[str, Any] = second.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in first.state_dict().items())
    return first, other
