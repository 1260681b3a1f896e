from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from scripts.lib.encoders import build_encoder
from scripts.lib.errors import UserError
from scripts.lib.recipe import read_recipe
from scripts.pretrain.contract import Position
from scripts.pretrain.methods.swav import Recipe, Swav, build_method, sinkhorn, swapped_loss
from scripts.pretrain.multi_crop import forward_by_size
from tests.pretrain.made_multicrop import crops_of, recipe
from tests.pretrain.method_checks import built_from_its_run


def method(**changes: object) -> Swav:
    return build_method(read_recipe(Recipe, recipe("swav", **changes)).run)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def naive_sinkhorn(scores: list[list[float]], epsilon: float, iterations: int) -> list[list[float]]:
    """The official order, written with lists: plan [k][n]."""
    n, k = len(scores), len(scores[0])
    plan = [[math.exp(scores[i][j] / epsilon) for i in range(n)] for j in range(k)]
    total = sum(map(sum, plan))
    plan = [[value / total for value in row] for row in plan]
    for _ in range(iterations):
        plan = [[value / sum(row) / k for value in row] for row in plan]
        sums = [sum(plan[j][i] for j in range(k)) for i in range(n)]
        plan = [[plan[j][i] / sums[i] / n for i in range(n)] for j in range(k)]
    return [[plan[j][i] * n for j in range(k)] for i in range(n)]


@pytest.mark.parametrize(("n", "k"), [(1, 1), (1, 4), (5, 3), (7, 11), (16, 30)])
@pytest.mark.parametrize(("epsilon", "iterations"), [(0.05, 3), (0.3, 1)])
def test_sinkhorn_against_a_loop(n: int, k: int, epsilon: float, iterations: int) -> None:
    scores = 2 * random(n, k) - 1
    expected = naive_sinkhorn(scores.tolist(), epsilon, iterations)
    found = sinkhorn(scores, epsilon, iterations)
    assert found.dtype == torch.float32
    assert torch.allclose(found.double(), torch.tensor(expected, dtype=torch.float64), atol=1e-5)
    assert torch.allclose(found.sum(dim=1), torch.ones(n), atol=1e-5)


def test_sinkhorn_balances_and_survives_half_precision() -> None:
    """e^(1/0.05) is 7,400 times what 16 bits hold."""
    plan = sinkhorn(2 * random(50, 10) - 1, 0.05, 100)
    assert torch.allclose(plan.sum(dim=0), torch.full((10,), 5.0), atol=1e-3)
    assert torch.isfinite(sinkhorn(torch.ones(4, 3, dtype=torch.float16), 0.05, 3)).all()


@pytest.mark.parametrize(("v", "n", "k", "temperature"), [(2, 1, 1, 0.1), (3, 5, 7, 0.1), (8, 3, 11, 0.07)])
def test_swapped_loss_against_a_loop(v: int, n: int, k: int, temperature: float) -> None:
    scores, q = 2 * random(v, n, k) - 1, functional.softmax(random(2, n, k, seed=1), dim=2)
    expected = 0.0
    for assigned in range(2):
        for crop in range(v):
            if crop == assigned:
                continue
            for i in range(n):
                weights = [math.exp(float(scores[crop, i, j]) / temperature) for j in range(k)]
                for j in range(k):
                    expected -= float(q[assigned, i, j]) * math.log(weights[j] / sum(weights)) / n / (v - 1) / 2
    assert float(swapped_loss(scores, q, temperature)) == pytest.approx(expected, abs=1e-6)


def started(step: int, **changes: object) -> Swav:
    swav = method(**changes)
    swav.begin_step(Position(step, 3, 3), swav.configure_optimizers())
    return swav


def test_one_step_does_what_the_paper_says() -> None:
    swav = started(0)
    reference, views = copy.deepcopy(swav), crops_of()
    got = swav.training_step(views, 0)
    prototypes = functional.normalize(reference.prototypes.weight, dim=1).detach()
    assert torch.allclose(swav.prototypes.weight, prototypes)
    z = functional.normalize(reference.head(forward_by_size(reference.backbone, views)), dim=1)
    scores = (z @ prototypes.T).view(5, 8, 30)
    q = torch.stack([sinkhorn(scores[crop].detach(), 0.05, 3) for crop in (0, 1)])
    assert torch.allclose(got["loss"], swapped_loss(scores, q, 0.1), atol=1e-5)
    assert 0 < float(got["assignment_entropy"]) < math.log(30) and float(got["feature_std"]) > 0.1
    got["loss"].backward()
    assert all(each.grad is not None for each in swav.parameters())
    assert not swav.queue.any()  # epoch 0: the queue has not begun


def test_head_norm_sees_all_crops_and_the_backbone_one_size_at_a_time() -> None:
    swav = started(0)
    swav.training_step(crops_of(), 0)
    assert int(swav.backbone.bn1.num_batches_tracked) == 2 and int(swav.head[1].num_batches_tracked) == 1


def test_queue_shifts_newest_first_and_is_used_once_full() -> None:
    swav = method()
    z = [functional.normalize(random(2, 8, 16, seed=seed).float(), dim=2) for seed in range(5)]
    for number in range(5):
        swav.position = Position(3 + number, 3, 3)  # the queue begins at epoch 1, step 3
        scores = swav.scores(z[number][1]).detach()
        rows = torch.cat([swav.scores(swav.queue[1]), scores]) if number >= 3 else scores
        assert torch.equal(swav.assignment(1, scores), sinkhorn(rows.detach(), 0.05, 3)[-8:]), number
        swav.new = [z[number][:, :4], z[number][:, 4:]]  # of two micro-batches
        swav.end_step()
        filled = torch.cat([*reversed(z[: number + 1]), torch.zeros(2, 24, 16)], dim=1)[:, :24]
        assert torch.equal(swav.queue, filled)  # each assigned crop has its own


@pytest.mark.parametrize(("step", "queue_size"), [(2, 24), (8, 0)])
def test_no_queue_before_its_epoch_or_at_size_0(step: int, queue_size: int) -> None:
    swav = started(step, queue_size=queue_size)
    swav.training_step(crops_of(), 0)
    assert swav.queue.shape == (2, queue_size, 16) and not swav.queue.any()


@pytest.mark.parametrize(("step", "frozen"), [(0, True), (1, True), (2, False)])
def test_prototypes_are_frozen_at_first(step: int, frozen: bool) -> None:
    swav = started(step)
    optimiser = swav.configure_optimizers()
    swav.begin_step(Position(step, 3, 3), optimiser)
    swav.training_step(crops_of(), 0)["loss"].backward()
    before = copy.deepcopy(swav.state_dict())
    swav.on_before_optimizer_step(optimiser)
    optimiser.step()
    assert (swav.prototypes.weight.grad is None) == frozen
    assert torch.equal(swav.prototypes.weight, before["prototypes.weight"]) == frozen
    assert not torch.equal(swav.head[0].weight, before["head.0.weight"])


def test_learning_rate_and_reference_loss() -> None:
    swav = method(epochs=4)
    rates = [swav.learning_rate(Position(step, 5, 4)) for step in range(20)]
    assert rates[0] == 0.01 and rates[4] == rates[5] == 0.5 and rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[-1] > 0.001
    assert swav.run.reference_loss.value == pytest.approx(math.log(30)) and swav.run.image_size == 32


def test_a_uniform_network_has_the_reference_loss() -> None:
    swav = started(0)
    with torch.no_grad():
        swav.head[3].weight.zero_()  # every image has the head's bias as its feature: collapse
        direction = functional.normalize(swav.head[3].bias, dim=0)
        swav.prototypes.weight.copy_(swav.prototypes.weight - swav.prototypes.weight @ direction[:, None] * direction)
    got = swav.training_step(crops_of(), 0)
    for name in ("loss", "assignment_entropy"):
        assert float(got[name].detach()) == pytest.approx(swav.run.reference_loss.value, abs=1e-4)
    assert float(got["feature_std"]) == pytest.approx(0, abs=1e-5)


def test_method_is_a_function_of_its_run_and_leaves_the_generator_alone() -> None:
    first, other = built_from_its_run(method)
    assert not torch.equal(first.prototypes.weight, other.prototypes.weight)
    built = build_encoder("resnet18", 0).state_dict()
    assert all(torch.equal(value, built[name]) for name, value in first.encoder().state_dict().items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"queue_size": 20}, "queue_size 20 is not a multiple of batch_size 8"),
        ({"warm_up_epochs": 3}, "warm_up_epochs 3 leaves nothing of epochs 3"),
    ],
)
def test_contradictions(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        method(**changes)
