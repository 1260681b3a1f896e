from __future__ import annotations

import math

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from scripts.lib.recipe import read_recipe
from scripts.pretrain.contract import Position
from scripts.pretrain.lars import Lars
from scripts.pretrain.methods.simclr import Recipe, Simclr, build_method, nt_xent, warm_cosine
from tests.pretrain.made import recipe
from tests.pretrain.method_checks import built_from_its_run


def method(**changes: object) -> Simclr:
    return build_method(read_recipe(Recipe, recipe("simclr", **changes)).run)


def batch(count: int = 8, seed: int = 0) -> list[Tensor]:
    numbers = torch.Generator().manual_seed(seed)
    return [torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=numbers) for _ in range(2)]


def unit(rows: int, dim: int, seed: int) -> Tensor:
    numbers = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(rows, dim, generator=numbers), dim=1)


@pytest.mark.parametrize(("n", "d", "temperature"), [(1, 1, 0.1), (1, 3, 0.5), (2, 4, 0.1), (7, 5, 0.5), (16, 2, 1.0)])
def test_nt_xent_against_a_loop(n: int, d: int, temperature: float) -> None:
    rows = unit(2 * n, d, n).double()
    expected, nearest = 0.0, 0
    for i in range(2 * n):
        twin = (i + n) % (2 * n)
        scores = {
            j: math.exp(sum(float(rows[i, c]) * float(rows[j, c]) for c in range(d)) / temperature)
            for j in range(2 * n)
            if j != i
        }
        expected -= math.log(scores[twin] / sum(scores.values())) / (2 * n)
        nearest += scores[twin] >= max(scores.values())
    loss, accuracy = nt_xent(rows, temperature)
    assert float(loss) == pytest.approx(expected, abs=1e-6)
    assert float(accuracy) == pytest.approx(nearest / (2 * n))


def test_reference_loss_is_that_of_equal_features() -> None:
    reference = method().run.reference_loss
    assert reference.value == pytest.approx(float(nt_xent(unit(1, 16, 0).repeat(16, 1), 0.2)[0]), abs=1e-6)
    assert reference.formula == "ln(2N - 1), N = 8"


def test_lars_against_the_formula() -> None:
    """Three steps with a changing rate; a matrix, a vector, and a matrix of zeros, which has no length to adapt to."""
    weights = [nn.Parameter(unit(3, 4, 1)), nn.Parameter(unit(1, 4, 2)[0]), nn.Parameter(torch.zeros(2, 2))]
    expected = [weight.detach().double() for weight in weights]
    velocity = [torch.zeros_like(weight) for weight in expected]
    optimizer = Lars(weights, lr=1.0, momentum=0.9, weight_decay=0.1, trust=0.01)
    for step, rate in enumerate((0.5, 2.0, 1.0)):
        optimizer.param_groups[0]["lr"] = rate
        for index, weight in enumerate(weights):
            weight.grad = torch.full_like(weight, 0.3 * (index + 1) - 0.2 * step)
            gradient, ratio = weight.grad.double(), 1.0
            if index != 1:
                gradient = gradient + 0.1 * expected[index]
                length = float(expected[index].norm())
                ratio = 0.01 * length / float(gradient.norm()) if length > 0 else 1.0
            velocity[index] = 0.9 * velocity[index] + rate * ratio * gradient
            expected[index] = expected[index] - velocity[index]
        optimizer.step()
    for weight, value in zip(weights, expected, strict=True):
        assert torch.allclose(weight.double(), value, atol=1e-6)


def test_a_weight_without_gradient_stays() -> None:
    weight = nn.Parameter(torch.zeros(2, 2))
    weight.grad = torch.zeros(2, 2)
    other = nn.Parameter(torch.ones(2, 2))
    Lars([weight, other], lr=1.0, momentum=0.9, weight_decay=0.1, trust=0.01).step()
    assert not weight.any() and bool((other == 1).all())


def test_learning_rate_warms_up_and_falls() -> None:
    assert [warm_cosine(step, 4, 12) for step in (0, 1, 4, 8)] == [0, 0.25, 1, pytest.approx(0.5)]
    assert warm_cosine(0, 0, 10) == 1 and 0 < warm_cosine(9, 0, 10) < 0.03
    simclr = method()
    rates = [simclr.learning_rate(Position(step, 5, 3)) for step in range(15)]
    assert rates[:6] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5]) and sorted(rates[5:], reverse=True) == rates[5:]


def test_one_step_is_one_pass_of_all_views() -> None:
    simclr, reference = method(), method()
    views = batch()
    got = simclr.training_step(views, 0)
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    h = reference.f((torch.cat(views) / 255 - mean) / deviation)
    first, second = reference.g[0].weight, reference.g[2].weight
    loss, _ = nt_xent(functional.normalize((h @ first.T).relu() @ second.T, dim=1), 0.2)
    assert torch.allclose(got["loss"], loss, atol=1e-4) and set(got) == {"loss", *simclr.metric_names}
    assert int(simclr.f.bn1.num_batches_tracked) == 1
    got["loss"].backward()
    assert all(parameter.grad is not None for parameter in simclr.parameters())


def test_one_batch_can_be_learnt() -> None:
    simclr = method(learning_rate=4.0)
    optimizer = simclr.configure_optimizers()
    views = [batch()[0]] * 2
    for step in range(30):
        simclr.begin_step(Position(step, 10, 3), optimizer)
        optimizer.zero_grad()
        got = simclr.training_step(views, 0)
        got["loss"].backward()
        optimizer.step()
    assert got["loss"].item() < 0.5 * simclr.run.reference_loss.value
    assert got["feature_std"].item() > 0.5


def test_encoder_fits_torchvision() -> None:
    state = method(encoder="resnet50").encoder().state_dict()
    missing, unexpected = torchvision.models.resnet50(weights=None).load_state_dict(state, strict=False)
    assert missing == ["fc.weight", "fc.bias"] and unexpected == []


def test_method_is_a_function_of_its_run_and_leaves_the_generator_alone() -> None:
    first, other = built_from_its_run(method)
    assert not torch.equal(first.g[0].weight, other.g[0].weight)


def test_a_warm_up_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match="warmup_epochs 3 is not less than epochs 3"):
        Recipe.model_validate_json(recipe("simclr", warmup_epochs=3))
