"""BatchNorm whose statistics do not depend on how many devices share a batch.

Over groups of a batch (MoCo's "SplitBN"): on any number of devices what ordinary BatchNorm is on several. Over the
whole batch: synchronised between the processes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from scripts.pretrain import ranks


class SplitBatchNorm2d(nn.BatchNorm2d):
    """Normalises each contiguous group of `group` images of the batch by its own statistics.

    Parameters and buffers have the names of `nn.BatchNorm2d`, and in eval mode it is one. Running statistics take the
    mean of the groups', as in the authors' single-GPU notebook (moco_cifar10_demo); under DistributedDataParallel the
    official code keeps those of the first GPU's group. Both estimate the same value, the mean with less noise.
    """

    def __init__(self, num_features: int, group: int) -> None:
        super().__init__(num_features)
        self.group = group

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised batch [n, c, h, w]; n must be a multiple of `group` in training."""
        if not self.training or len(input) == self.group:
            return super().forward(input)
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        groups = torch.split(input, self.group)
        means = self.running_mean.repeat(len(groups), 1)  # g c
        variances = self.running_var.repeat(len(groups), 1)  # g c
        outputs = [
            functional.batch_norm(group, mean, variance, self.weight, self.bias, True, self.momentum or 0.0, self.eps)
            for group, mean, variance in zip(groups, means, variances, strict=True)
        ]
        self.running_mean.copy_(means.mean(0))
        self.running_var.copy_(variances.mean(0))
        self.num_batches_tracked.add_(1)
        return torch.cat(outputs)


class SyncBatchNorm(_BatchNorm):
    """Normalises by the statistics of all processes' rows, on CPUs too, where torch's own does not work."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(f"expected [n, c, ...], got {tuple(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised rows [n, c, ...]; n is the same in every process."""
        if not self.training:
            return super().forward(input)
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        others = [dim for dim in range(input.ndim) if dim != 1]
        shape = [1, -1] + [1] * (input.ndim - 2)
        values = input.float()
        count = values.numel() // values.shape[1] * ranks.world()
        mean = ranks.summed_with_gradient(values.sum(dim=others)) / count  # c
        centred = values - mean.view(shape)
        variance = ranks.summed_with_gradient(centred.square().sum(dim=others)) / count  # c
        with torch.no_grad():
            momentum = self.momentum or 0.0
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * (count / max(count - 1, 1)), momentum)
            self.num_batches_tracked.add_(1)
        scaled = centred * (variance + self.eps).rsqrt().view(shape) * self.weight.view(shape) + self.bias.view(shape)
        return scaled.to(input.dtype)


def split_batch_norms(module: nn.Module, group: int) -> None:
    """Replace every `nn.BatchNorm2d` within `module` by one over groups of `group` images, weights and names kept."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            split = SplitBatchNorm2d(child.num_features, group)
            split.load_state_dict(child.state_dict())
            setattr(module, name, split)
        else:
            split_batch_norms(child, group)


def synchronise_batch_norms(module: nn.Module, torch_kernels: bool) -> None:
    """Replace ordinary BatchNorm within `module` by one over all processes' rows; parameters, buffers and names kept.

    `torch_kernels` takes torch's SyncBatchNorm, which is faster and needs GPUs. SplitBN stays as it is: its groups are
    local.
    """
    for name, child in module.named_children():
        # The very classes, for SplitBN is one of them too.
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d) and type(child) in (nn.BatchNorm1d, nn.BatchNorm2d):
            kind = nn.SyncBatchNorm if torch_kernels else SyncBatchNorm
            shared = kind(child.num_features, child.eps, child.momentum)
            for own in (shared._parameters, shared._buffers):
                own.update({key: getattr(child, key) for key in own})  # the very tensors, which the optimiser may know
            setattr(module, name, shared)
        else:
            synchronise_batch_norms(child, torch_kernels)


def average_running_statistics(module: nn.Module) -> None:
    """Give every process the mean of all processes' running statistics of SplitBN, which is that of all groups."""
    split = [each for each in module.modules() if isinstance(each, SplitBatchNorm2d)]
    buffers = [each for norm in split for each in (norm.running_mean, norm.running_var)]
    ranks.average_in_place([each for each in buffers if each is not None])
