"""LARS: SGD with a rate for each layer (You, Gitman, Ginsburg 2017), as SimCLR's official code has it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn


class Lars(torch.optim.Optimizer):
    """Momentum SGD that moves each weight by a fixed share `trust` of its length at a rate of 1.

    Vectors, which are biases and BatchNorm's parameters, take part in neither weight decay nor adaptation. OFFICIAL:
    the rate goes into the velocity ("classic" momentum), so a change of the rate acts on new gradients only.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], *, lr: float, momentum: float, weight_decay: float, trust: float
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust}
        super().__init__(parameters, defaults)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Take one step; `closure`, where given, computes loss and gradients first."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in (each for each in group["params"] if each.grad is not None):
                gradient, ratio = weight.grad, torch.ones((), device=weight.device)
                if weight.ndim > 1:
                    gradient = gradient + group["weight_decay"] * weight
                    length, slope = weight.norm(), gradient.norm()
                    ratio = torch.where((length > 0) & (slope > 0), group["trust"] * length / slope, ratio)
                velocity = self.state[weight].setdefault("velocity", torch.zeros_like(weight))
                velocity.mul_(group["momentum"]).add_(gradient * (group["lr"] * ratio))
                weight.sub_(velocity)
        return loss
