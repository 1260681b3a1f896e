"""A network that follows another as a moving average: MoCo's key encoder, DINO's teacher."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.optim import swa_utils


@torch.no_grad()
def follow(follower: nn.Module, leader: nn.Module, momentum: float) -> None:
    """Set follower = m follower + (1 - m) leader, on parameters only: BatchNorm's statistics are each network's own.

    All tensors at once, as follower + (1 - m) (leader - follower); decisions.md#89.
    """
    average: Any = swa_utils.get_ema_multi_avg_fn(momentum)  # type: ignore[no-untyped-call]
    average(list(follower.parameters()), list(leader.parameters()), None)
