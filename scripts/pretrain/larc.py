"""SGD with layer-wise adaptive rate control (You, Gitman, Ginsburg 2017), as apex's LARC with clip=False does it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

EPSILON = 1e-8  # apex


class Larc(torch.optim.SGD):
    """SGD with momentum in which each tensor of parameters p has its own rate: lr · trust · |p| / (|g| + wd · |p|).

    Weight decay enters g before it is scaled. A tensor whose gradient or value is zero takes plain SGD's step without
    weight decay; one without a gradient takes none.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], lr: float, momentum: float, weight_decay: float, trust: float
    ) -> None:
        super().__init__(parameters, lr=lr, momentum=momentum)  # its own weight decay stays 0: decay is in g already
        self.decay, self.trust = weight_decay, trust

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Compute loss and gradients by `closure`, scale the gradients in place, and step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.no_grad():
            for group in self.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        self._scale(parameter, parameter.grad)
        super().step()
        return loss

    def _scale(self, parameter: Tensor, gradient: Tensor) -> None:
        length, slope = parameter.norm(), gradient.norm()
        rate = self.trust * length / (slope + self.decay * length + EPSILON)
        nonzero = (length > 0) & (slope > 0)
        # No branch on values: on a GPU each would wait for the device.
        gradient.add_(parameter * nonzero, alpha=self.decay).mul_(torch.where(nonzero, rate, torch.ones_like(rate)))
