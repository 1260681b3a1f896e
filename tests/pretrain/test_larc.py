from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from scripts.pretrain.larc import Larc


def parameter(*values: float, gradient: list[float] | None) -> nn.Parameter:
    result = nn.Parameter(torch.tensor(values, dtype=torch.float64))
    result.grad = None if gradient is None else torch.tensor(gradient, dtype=torch.float64)
    return result


def larc(*parameters: nn.Parameter) -> Larc:
    return Larc(parameters, lr=0.5, momentum=0.9, weight_decay=0.01, trust=0.001)


def test_two_steps_by_hand() -> None:
    """|p| = 5, |g| = 2: rate 0.001 · 5 / (2 + 0.01 · 5); g + wd p is scaled; momentum gathers; lr times that."""
    p = parameter(3.0, 4.0, gradient=[0.0, 2.0])
    optimiser = larc(p)
    optimiser.step()
    rate = 0.001 * 5 / (2 + 0.05 + 1e-8)
    first = [rate * (0.0 + 0.03), rate * (2.0 + 0.04)]
    expected = [3 - 0.5 * first[0], 4 - 0.5 * first[1]]
    assert p.tolist() == pytest.approx(expected, abs=1e-12)
    p.grad = torch.tensor([1.0, 0.0], dtype=torch.float64)
    optimiser.step()
    length = math.hypot(*expected)
    rate = 0.001 * length / (1 + 0.01 * length + 1e-8)
    second = [rate * (1 + 0.01 * expected[0]), rate * 0.01 * expected[1]]
    expected = [e - 0.5 * (0.9 * a + b) for e, a, b in zip(expected, first, second, strict=True)]
    assert p.tolist() == pytest.approx(expected, abs=1e-12)


def test_rates_are_each_tensors_own() -> None:
    one, two = parameter(1.0, gradient=[10.0]), parameter(1.0, gradient=[0.001])
    larc(one, two).step()
    assert 1 - one.item() == pytest.approx(0.5 * 0.001, rel=0.01)
    assert 1 - two.item() == pytest.approx(0.5 * 0.001, rel=0.01)  # the size of a gradient does not matter


@pytest.mark.parametrize(
    ("value", "gradient", "expected"),
    [
        (0.0, [2.0], -1.0),  # as apex: a zero tensor takes plain SGD's step
        (3.0, [0.0], 3.0),  # and nothing decays without a gradient's length
        (3.0, None, 3.0),
    ],
)
def test_zeros_and_no_gradient(value: float, gradient: list[float] | None, expected: float) -> None:
    p = parameter(value, gradient=gradient)
    larc(p).step()
    assert p.item() == expected


def test_a_closure_computes_gradients_first_and_state_comes_back() -> None:
    p = parameter(2.0, gradient=None)
    optimiser = larc(p)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = (p**2).sum()
        loss.backward()
        return loss

    assert optimiser.step(closure).item() == 4.0 and p.item() < 2
    other = nn.Parameter(p.detach().clone())
    again = larc(other)
    again.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    for each, tensor in ((optimiser, p), (again, other)):
        tensor.grad = torch.ones(1, dtype=torch.float64)
        each.step()
    assert p.item() == other.item()
