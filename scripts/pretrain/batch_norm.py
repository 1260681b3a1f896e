"""BatchNorm with statistics over groups of a batch: on one device what ordinary BatchNorm is on several."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class SplitBatchNorm2d(nn.BatchNorm2d):
    """Normalises each of `splits` equal, contiguous groups of the batch by its own statistics.

    Parameters and buffers have the names of `nn.BatchNorm2d`, and in eval mode it is one. Running statistics take the
    mean of the groups', as in the authors' single-GPU notebook (moco_cifar10_demo); under DistributedDataParallel the
    official code keeps those of the first GPU's group. Both estimate the same value, the mean with less noise.
    """

    def __init__(self, num_features: int, splits: int) -> None:
        super().__init__(num_features)
        self.splits = splits

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised batch [n, c, h, w]; n must be a multiple of `splits` in training."""
        if not self.training or self.splits == 1:
            return super().forward(input)
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        means = self.running_mean.repeat(self.splits, 1)  # s c
        variances = self.running_var.repeat(self.splits, 1)  # s c
        groups = [
            functional.batch_norm(group, mean, variance, self.weight, self.bias, True, self.momentum or 0.0, self.eps)
            for group, mean, variance in zip(input.chunk(self.splits), means, variances, strict=True)
        ]
        self.running_mean.copy_(means.mean(0))
        self.running_var.copy_(variances.mean(0))
        self.num_batches_tracked.add_(1)
        return torch.cat(groups)


def split_batch_norms(module: nn.Module, splits: int) -> None:
    """Replace every `nn.BatchNorm2d` within `module` by one over `splits` groups, weights and names kept."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            split = SplitBatchNorm2d(child.num_features, splits)
            split.load_state_dict(child.state_dict())
            setattr(module, name, split)
        else:
            split_batch_norms(child, splits)
