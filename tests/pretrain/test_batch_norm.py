from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from scripts.pretrain.batch_norm import SplitBatchNorm2d, split_batch_norms


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 3 + 1


@pytest.mark.parametrize("splits", [1, 2, 4])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_each_group_is_normalised_by_itself(splits: int, layout: torch.memory_format) -> None:
    norm = SplitBatchNorm2d(5, 8 // splits)
    with torch.no_grad():
        norm.weight.copy_(numbers(5))
        norm.bias.copy_(numbers(5, seed=1))
    images = numbers(8, 5, 3, 2).contiguous(memory_format=layout)
    expected, means, variances = [], [], []
    for group in images.split(8 // splits):
        values = group.transpose(0, 1).reshape(5, -1).double()
        mean, deviation = values.mean(1), values.var(1, correction=0)
        means.append(mean)
        variances.append(values.var(1, correction=1))
        scaled = (group.double() - mean.view(1, 5, 1, 1)) / (deviation.view(1, 5, 1, 1) + norm.eps).sqrt()
        expected.append(scaled * norm.weight.view(1, 5, 1, 1) + norm.bias.view(1, 5, 1, 1))
    assert torch.allclose(norm(images).double(), torch.cat(expected), atol=1e-5)
    # Running statistics: momentum 0.1 towards the mean over the groups.
    assert torch.allclose(norm.running_mean.double(), 0.1 * torch.stack(means).mean(0), atol=1e-6)
    assert torch.allclose(norm.running_var.double(), 0.9 + 0.1 * torch.stack(variances).mean(0), atol=1e-5)
    assert int(norm.num_batches_tracked) == 1


def test_one_split_and_eval_are_ordinary_batch_norm() -> None:
    plain, split = nn.BatchNorm2d(4), SplitBatchNorm2d(4, 6)
    images = numbers(6, 4, 2, 2)
    assert torch.equal(plain(images), split(images)) and torch.equal(plain.running_var, split.running_var)
    split = SplitBatchNorm2d(4, 2)
    split.load_state_dict(plain.state_dict())
    assert torch.equal(plain.eval()(images), split.eval()(images))


def test_network_keeps_names_and_weights() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.BatchNorm2d(4), nn.ReLU()), nn.BatchNorm2d(4))
    with torch.no_grad():
        network[2].weight.fill_(7)
    before = copy.deepcopy(network.state_dict())
    split_batch_norms(network, 2)
    assert list(network.state_dict()) == list(before)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert isinstance(network[1][0], SplitBatchNorm2d) and isinstance(network[2], SplitBatchNorm2d)


def test_gradient_is_that_of_the_groups() -> None:
    norm = SplitBatchNorm2d(3, 2).double()
    images = numbers(4, 3, 2, 2).double().requires_grad_()
    assert torch.autograd.gradcheck(norm, (images,))
