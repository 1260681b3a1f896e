from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from scripts.lib.encoders import build_encoder
from scripts.lib.errors import UserError
from scripts.lib.recipe import read_recipe
from scripts.pretrain.contract import Position
from scripts.pretrain.methods.dino import (
    Dino,
    NormedLayer,
    Recipe,
    build_method,
    clip_each,
    distillation_loss,
    targets_of,
)
from scripts.pretrain.multi_crop import forward_by_size
from tests.pretrain.made_multicrop import crops_of, recipe
from tests.pretrain.method_checks import built_from_its_run


def method(**changes: object) -> Dino:
    return build_method(read_recipe(Recipe, recipe("dino", **changes)).run)


def started(step: int, **changes: object) -> tuple[Dino, torch.optim.Optimizer]:
    dino = method(**changes)
    optimiser = dino.configure_optimizers()
    torch.manual_seed(0)
    dino.begin_step(Position(step, 3, 3), optimiser)
    return dino, optimiser


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def softmax(values: list[float]) -> list[float]:
    weights = [math.exp(value) for value in values]
    return [weight / sum(weights) for weight in weights]


@pytest.mark.parametrize(("v", "n", "k"), [(2, 1, 1), (2, 3, 5), (10, 2, 7), (3, 5, 13)])
@pytest.mark.parametrize("temperatures", [(0.1, 0.04), (0.5, 0.07)])
def test_loss_against_a_loop(v: int, n: int, k: int, temperatures: tuple[float, float]) -> None:
    student, teacher, centre = random(v, n, k) / 5, random(2, n, k, seed=1) / 5, random(k, seed=2) / 5
    total, terms = 0.0, 0
    for i in range(2):
        for j in range(v):
            if i == j:
                continue
            terms += 1
            for row in range(n):
                t = softmax([float((teacher[i, row, c] - centre[c]) / temperatures[1]) for c in range(k)])
                s = softmax([float(student[j, row, c] / temperatures[0]) for c in range(k)])
                total -= sum(a * math.log(b) for a, b in zip(t, s, strict=True)) / n
    assert terms == 2 * v - 2
    found = distillation_loss(student, targets_of(teacher, centre, temperatures[1]), temperatures[0])
    assert float(found) == pytest.approx(total / terms, abs=1e-6)


def test_gradients_are_clipped_each_by_itself() -> None:
    parameters = [nn.Parameter(torch.zeros(2)) for _ in range(3)]
    parameters[0].grad, parameters[1].grad = torch.tensor([3.0, 4.0]), torch.tensor([0.3, 0.4])
    clip_each(parameters, 2.5)
    assert parameters[0].grad.tolist() == pytest.approx([1.5, 2.0], abs=1e-5)
    assert parameters[1].grad.tolist() == pytest.approx([0.3, 0.4]) and parameters[2].grad is None


def test_normed_layer_is_torchs_weight_norm() -> None:
    torch.manual_seed(0)
    layer = NormedLayer(5, 7, learn_lengths=True)
    theirs = nn.utils.parametrizations.weight_norm(nn.Linear(5, 7, bias=False))
    with torch.no_grad():
        layer.weight_g.mul_(1.7)
        theirs.parametrizations.weight.original0.copy_(layer.weight_g)
        theirs.parametrizations.weight.original1.copy_(layer.weight_v)
    rows = torch.randn(3, 5)
    assert torch.allclose(layer(rows), theirs(rows), atol=1e-6)
    names = {name for name, each in NormedLayer(5, 7, learn_lengths=False).named_parameters() if each.requires_grad}
    assert names == {"weight_v"}


def test_one_step_does_what_the_paper_says() -> None:
    dino, _ = started(4, drop_path=0.0)
    with torch.no_grad():
        dino.centre.copy_(0.01 * random(40).float())
        for parameter in dino.student.parameters():
            parameter.add_(0.01)
    reference, views = copy.deepcopy(dino), crops_of()
    got = dino.training_step(views, 0)
    with torch.no_grad():
        teacher = reference.teacher[1](forward_by_size(reference.teacher[0], views[:2]))
    student = reference.student[1](forward_by_size(reference.student[0], views))
    centre = reference.centre.clone()
    targets = targets_of(teacher.view(2, 8, 40), centre, 0.07)  # epoch 1
    loss = distillation_loss(student.view(5, 8, 40), targets, 0.1)
    assert torch.allclose(got["loss"], loss, atol=1e-5)
    got["loss"].backward()
    assert all(each.grad is not None for each in dino.student.parameters())
    assert torch.equal(dino.centre, centre)  # other micro-batches of the step see the same
    dino.end_step()
    assert torch.allclose(dino.centre, 0.9 * centre + 0.1 * teacher.mean(dim=0), atol=1e-6)
    assert all(each.grad is None for each in dino.teacher.parameters())
    assert 0 < float(got["teacher_entropy"]) < math.log(40) and float(got["feature_std"]) > 0
    assert set(dino.state_dict()) >= {"centre", "teacher.0.cls_token", "student.1.last_layer.weight_g"}


def test_teacher_starts_as_the_student_and_drops_no_path() -> None:
    dino = method()
    pairs = zip(dino.student.named_parameters(), dino.teacher.named_parameters(), strict=True)
    assert all(one[0] == two[0] and torch.equal(one[1], two[1]) and not two[1].requires_grad for one, two in pairs)
    assert [block.drop_rate for block in dino.student[0].blocks] == [0.0, pytest.approx(0.1)]
    assert [block.drop_rate for block in dino.teacher[0].blocks] == [0.0, 0.0]
    assert dino.encoder() is dino.teacher[0]


@pytest.mark.parametrize("norm_last_layer", [True, False])
def test_what_is_optimised_and_what_decays(norm_last_layer: bool) -> None:
    dino = method(norm_last_layer=norm_last_layer)
    names = {id(each): name for name, each in dino.named_parameters()}
    decays, rest = ({names[id(each)] for each in g["params"]} for g in dino.configure_optimizers().param_groups)
    assert {"student.0.cls_token", "student.0.pos_embed", "student.1.last_layer.weight_v"} <= decays
    assert ("student.1.last_layer.weight_g" in decays) != norm_last_layer  # two-dimensional, so it decays
    assert all(name.endswith(".bias") or "norm" in name for name in rest)
    assert decays | rest == {
        name for name, each in dino.student.named_parameters(prefix="student") if each.requires_grad
    }


@pytest.mark.parametrize(("step", "frozen"), [(0, True), (2, True), (3, False)])
def test_last_layer_is_frozen_at_first(step: int, frozen: bool) -> None:
    dino, optimiser = started(step)
    for group in optimiser.param_groups:
        group["lr"] = 0.01
    before = copy.deepcopy(dino.state_dict())
    dino.training_step(crops_of(), 0)["loss"].backward()
    dino.on_before_optimizer_step(optimiser)
    assert all(each.grad is None or each.grad.norm() <= 3.0001 for each in dino.student.parameters())
    optimiser.step()
    for name in ("weight_g", "weight_v"):
        assert (
            torch.equal(dino.student[1].last_layer.get_parameter(name), before[f"student.1.last_layer.{name}"])
            == frozen
        )
    assert not torch.equal(dino.student[1].mlp[0].weight, before["student.1.mlp.0.weight"])


def test_teacher_follows_with_a_momentum_that_ends_at_1() -> None:
    dino, _ = started(6)
    with torch.no_grad():
        for parameter in dino.student.parameters():
            parameter.add_(1.0)
    before = copy.deepcopy(dino.teacher.state_dict())
    dino.update_teacher()
    m = 1 + 0.5 * (0.9 - 1) * (1 + math.cos(math.pi * 6 / 9))
    for name, value in dino.teacher.named_parameters():
        assert torch.allclose(value, m * before[name] + (1 - m) * dino.student.get_parameter(name), atol=1e-6)


def test_schedules() -> None:
    dino = method(epochs=5, teacher_temperature_warm_up_epochs=3)
    positions = [Position(step, 4, 5) for step in range(20)]
    temperatures = [dino.teacher_temperature(each) for each in positions]
    assert temperatures == pytest.approx(np.repeat([*np.linspace(0.04, 0.07, 3), 0.07, 0.07], 4).tolist())
    optimiser = dino.configure_optimizers()
    decays = []
    for position in positions:
        dino.begin_step(position, optimiser)
        decays.append(optimiser.param_groups[0]["weight_decay"])
        assert optimiser.param_groups[1]["weight_decay"] == 0
        assert {group["lr"] for group in optimiser.param_groups} == {dino.learning_rate(position)}
    assert decays[0] == pytest.approx(0.04) and decays[10] == pytest.approx(0.22) and decays[-1] < 0.4
    assert dino.learning_rate(positions[0]) == 0 and dino.learning_rate(positions[3]) == 0.002


def test_no_warm_up_of_the_temperature() -> None:
    dino = method(teacher_temperature_warm_up_epochs=0)
    assert dino.teacher_temperature(Position(0, 3, 3)) == 0.07


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_resnets_keep_statistics_of_their_own(name: str) -> None:
    dino, _ = started(0, encoder=name, drop_path=0.0)
    dino.training_step(crops_of(4), 0)["loss"].backward()
    assert int(dino.student[0].bn1.num_batches_tracked) == 2 and int(dino.teacher[0].bn1.num_batches_tracked) == 1
    assert dino.student[0].conv1.weight.grad is not None


def test_method_is_a_function_of_its_run_and_leaves_the_generator_alone() -> None:
    first, other = built_from_its_run(method)
    assert not torch.equal(first.student[1].mlp[0].weight, other.student[1].mlp[0].weight)
    built = build_encoder("vit_tiny_test", 0).state_dict()
    assert all(torch.equal(value, built[name]) for name, value in first.encoder().state_dict().items())


def test_a_uniform_network_has_the_reference_loss() -> None:
    dino, _ = started(0)
    with torch.no_grad():
        for head in (dino.student[1], dino.teacher[1]):
            head.last_layer.weight_g.zero_()  # every output 0
    got = dino.training_step(crops_of(), 0)
    assert dino.run.reference_loss.value == pytest.approx(math.log(40))
    for name in ("loss", "teacher_entropy"):
        assert float(got[name].detach()) == pytest.approx(math.log(40), abs=1e-5)
    assert functional.normalize(dino.centre, dim=0).norm() == 0


def test_drop_path_needs_a_vit() -> None:
    with pytest.raises(UserError, match=r"drop_path 0\.1 needs a ViT, resnet18 has no path to drop; set it to 0"):
        method(encoder="resnet18")
