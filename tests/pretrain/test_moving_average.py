from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from scripts.pretrain.moving_average import follow


def networks() -> tuple[nn.Module, nn.Module]:
    """Two that differ in parameters and in BatchNorm's statistics, in the layout that training has."""
    torch.manual_seed(0)
    leader = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(36, 2))
    follower = copy.deepcopy(leader).requires_grad_(False)
    for each in leader.parameters():
        torch.nn.init.normal_(each)
    leader(torch.randn(5, 3, 5, 5))
    return follower.to(memory_format=torch.channels_last), leader.to(memory_format=torch.channels_last)


@pytest.mark.parametrize("momentum", [0.0, 0.3, 0.5, 0.996, 1.0])
def test_each_parameter_is_the_mean_and_buffers_stay(momentum: float) -> None:
    follower, leader = networks()
    before, buffers = copy.deepcopy(dict(follower.named_parameters())), copy.deepcopy(dict(follower.named_buffers()))
    led = copy.deepcopy(leader.state_dict())
    follow(follower, leader, momentum)
    for name, value in follower.named_parameters():
        for new, own, other in zip(value.flatten(), before[name].flatten(), led[name].flatten(), strict=True):
            assert float(new) == pytest.approx(momentum * float(own) + (1 - momentum) * float(other), abs=1e-6)
        assert not torch.equal(value, led[name]) or momentum == 0
        assert value.grad_fn is None and value.stride() == before[name].stride()
    assert all(torch.equal(value, buffers[name]) for name, value in follower.named_buffers())
    assert all(torch.equal(value, led[name]) for name, value in leader.state_dict().items())


def test_equal_networks_stay_equal_to_the_bit() -> None:
    """m x + (1 - m) x would round."""
    follower, leader = networks()
    follower.load_state_dict(leader.state_dict())
    for _ in range(100):
        follow(follower, leader, 0.999)
    assert all(torch.equal(one, two) for one, two in zip(follower.parameters(), leader.parameters(), strict=True))
