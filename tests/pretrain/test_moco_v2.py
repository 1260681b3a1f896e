from __future__ import annotations

import copy
import math

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from scripts.lib.encoders import build_encoder
from scripts.lib.recipe import read_recipe
from scripts.pretrain.contract import Position, normalised
from scripts.pretrain.methods.moco_v2 import MocoV2, Recipe, build_method
from scripts.pretrain.momentum import info_nce, key_order
from tests.pretrain.made import recipe


def method(**changes: object) -> MocoV2:
    return build_method(read_recipe(Recipe, recipe(**changes)).run)


def batch(count: int = 8, seed: int = 0) -> list[Tensor]:
    numbers = torch.Generator().manual_seed(seed)
    return [torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=numbers) for _ in range(2)]


def unit(rows: int, dim: int, seed: int) -> Tensor:
    return functional.normalize(torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed)), dim=1)


SIZES = [(1, 1, 1, 0.2), (3, 5, 7, 0.07), (8, 16, 33, 0.2), (5, 2, 64, 1.0)]


@pytest.mark.parametrize(("n", "d", "k", "temperature"), SIZES)
def test_info_nce_against_a_loop(n: int, d: int, k: int, temperature: float) -> None:
    query, key, queue = unit(n, d, 1), unit(n, d, 2), unit(k, d, 3).T
    expected, nearest = 0.0, 0
    for i in range(n):
        right = math.exp(sum(float(query[i, c]) * float(key[i, c]) for c in range(d)) / temperature)
        wrong = [
            math.exp(sum(float(query[i, c]) * float(queue[c, j]) for c in range(d)) / temperature) for j in range(k)
        ]
        expected -= math.log(right / (right + sum(wrong))) / n
        nearest += right >= max(wrong)
    loss, accuracy = info_nce(query, key, queue, temperature)
    assert float(loss) == pytest.approx(expected, abs=1e-6, rel=1e-6)
    assert float(accuracy) == pytest.approx(nearest / n)


def test_key_encoder_starts_as_the_query_encoder_and_takes_no_gradient() -> None:
    moco = method()
    for (name_q, q), (name_k, k) in zip(moco.f_q.named_parameters(), moco.f_k.named_parameters(), strict=True):
        assert name_q == name_k and torch.equal(q, k) and q.requires_grad and not k.requires_grad
    optimised = {id(p) for group in moco.configure_optimizers().param_groups for p in group["params"]}
    assert optimised == {id(p) for p in moco.f_q.parameters()}
    assert {group["weight_decay"] for group in moco.configure_optimizers().param_groups} == {0.0001}


def test_queue_starts_with_unit_columns() -> None:
    moco = method()
    assert moco.queue.shape == (16, 32)
    assert torch.allclose(moco.queue.norm(dim=0), torch.ones(32))
    assert set(moco.state_dict()) >= {"queue", "pointer", "f_k.0.conv1.weight"}


def test_one_step_does_what_the_paper_says() -> None:
    """Against the algorithm written out: q, EMA, k through shuffled groups, loss with the old queue, enqueue."""
    moco = method()
    with torch.no_grad():
        for parameter in moco.f_q.parameters():  # so that the average moves
            parameter.add_(0.01)
    reference = copy.deepcopy(moco)
    views = batch()
    moco.begin_step(Position(4, 3, 3), moco.configure_optimizers())
    got = moco.training_step(views, 0)

    old = {name: value.clone() for name, value in reference.f_k.named_parameters()}
    q = functional.normalize(reference.f_q(normalised(views[0])), dim=1)
    with torch.no_grad():
        for name, parameter in reference.f_k.named_parameters():
            parameter.copy_(0.9 * old[name] + 0.1 * reference.f_q.get_parameter(name))
        order = key_order(8, 0, 4)
        k = torch.empty(8, 16)
        k[order] = functional.normalize(reference.f_k(normalised(views[1])[order]), dim=1)
    loss, accuracy = info_nce(q, k, reference.queue, 0.2)
    assert torch.allclose(got["loss"], loss, atol=1e-4) and torch.equal(got["accuracy"], accuracy)
    assert torch.equal(moco.queue, reference.queue)  # other micro-batches of the step see the same
    got["loss"].backward()
    moco.end_step()
    assert torch.allclose(moco.queue[:, :8], k.T, atol=1e-4)
    assert torch.equal(moco.queue[:, 8:], reference.queue[:, 8:]) and int(moco.pointer) == 8
    for name, parameter in reference.f_k.named_parameters():
        assert torch.allclose(moco.f_k.get_parameter(name), parameter, atol=1e-7)
    # Statistics of BatchNorm are each network's own, not averaged.
    assert not torch.equal(moco.f_k[0].bn1.running_mean, moco.f_q[0].bn1.running_mean)
    assert all(p.grad is not None for p in moco.f_q.parameters()) and all(p.grad is None for p in moco.f_k.parameters())


def test_queue_is_a_ring() -> None:
    moco = method()
    keys = [unit(8, 16, seed) for seed in range(5)]
    for key in keys:
        moco.enqueue(key)
    assert int(moco.pointer) == 8  # 40 keys in a queue of 32
    expected = torch.cat([keys[4], keys[1], keys[2], keys[3]]).T
    assert torch.equal(moco.queue, expected)


def test_keys_come_back_in_order_and_the_order_depends_on_the_step() -> None:
    moco = method(bn_splits=1)
    views = batch()[1]
    moco.position = Position(0, 3, 3)
    with torch.no_grad():
        plain = functional.normalize(moco.f_k(normalised(views)), dim=1)
        assert torch.allclose(moco.keys(views), plain, atol=1e-5)
    orders = [key_order(8, 0, step).tolist() for step in range(20)]
    assert all(sorted(order) == list(range(8)) for order in orders)
    assert len({tuple(order) for order in orders}) == 20
    assert key_order(8, 1, 0).tolist() != orders[0]


def test_learning_rate_is_half_a_cosine_over_epochs() -> None:
    moco = method()
    rates = [moco.learning_rate(Position(step, 5, 200)) for step in range(1000)]
    assert rates[0] == 0.06 and len(set(rates)) == 200
    assert all(len(set(rates[5 * e : 5 * e + 5])) == 1 for e in range(200))
    assert rates[500] == pytest.approx(0.03)
    assert rates[-1] == pytest.approx(0.06 * 0.5 * (1 + math.cos(math.pi * 199 / 200))) and rates[-1] > 0


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_encoder_fits_torchvision(name: str) -> None:
    encoder = method(encoder=name).encoder()
    model = getattr(torchvision.models, name)(weights=None)
    missing, unexpected = model.load_state_dict(encoder.state_dict(), strict=False)
    assert missing == ["fc.weight", "fc.bias"] and unexpected == []
    model.fc = nn.Identity()
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(model.eval()(images), encoder.eval()(images), atol=1e-4, rtol=1e-4)


def test_method_is_a_function_of_its_run_and_leaves_the_generator_alone() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, second, other = method(), method(), method(seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])
    assert not torch.equal(first.queue, other.queue)
    built = build_encoder("resnet18", 0).state_dict()
    assert all(torch.equal(value, built[name]) for name, value in first.encoder().state_dict().items())


def test_collapse_shows_in_feature_std() -> None:
    moco = method()
    with torch.no_grad():
        moco.f_q[1][2].weight.zero_()  # all images get the bias as their feature
    moco.begin_step(Position(0, 3, 3), moco.configure_optimizers())
    assert float(moco.training_step(batch(), 0)["feature_std"]) == pytest.approx(0, abs=1e-5)
