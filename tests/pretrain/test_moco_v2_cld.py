from __future__ import annotations

import copy
import json
import math

import pytest
import torch
import torchvision
from torch import Tensor
from torch.nn import functional

from scripts.lib.heads import NormedLinear
from scripts.lib.recipe import read_recipe
from scripts.pretrain.contract import Position, normalised
from scripts.pretrain.methods.moco_v2_cld import MocoV2Cld, Recipe, build_method, cld_loss, k_means
from scripts.pretrain.momentum import info_nce, key_order
from tests.pretrain.made import recipe
from tests.pretrain.method_checks import built_from_its_run

Rows = list[list[float]]


def method(**changes: object) -> MocoV2Cld:
    return build_method(read_recipe(Recipe, recipe("moco_v2_cld", **changes)).run)


def batch(count: int = 8, seed: int = 0) -> list[Tensor]:
    numbers = torch.Generator().manual_seed(seed)
    return [torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=numbers) for _ in range(3)]


def unit(rows: int, dim: int, seed: int) -> Tensor:
    numbers = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(rows, dim, generator=numbers, dtype=torch.float64), dim=1)


def naive_k_means(rows: Rows, clusters: int, iterations: int) -> tuple[list[int], Rows]:
    centroids = rows[:clusters]
    labels: list[int] = []
    for _ in range(iterations):
        labels = []
        for row in rows:
            distances = [sum((a - b) ** 2 for a, b in zip(row, centroid, strict=True)) for centroid in centroids]
            labels.append(distances.index(min(distances)))
        centroids = []
        for cluster in range(clusters):
            members = [row for row, label in zip(rows, labels, strict=True) if label == cluster]
            size = max(1, len(members))
            centroids.append([sum(row[c] for row in members) / size for c in range(len(rows[0]))])
    return labels, centroids


def naive_cross_level(rows: Rows, labels: list[int], centroids: Rows, temperature: float) -> float:
    total = 0.0
    for row, label in zip(rows, labels, strict=True):
        scores = [math.exp(sum(a * b for a, b in zip(row, each, strict=True)) / temperature) for each in centroids]
        total -= math.log(scores[label] / sum(scores))
    return total / len(rows)


# n, d, clusters, iterations: few clusters, one for each row, more than rows, one row, one cluster, one iteration
SIZES = [(12, 4, 3, 5), (7, 3, 7, 5), (5, 6, 11, 5), (1, 3, 4, 5), (9, 2, 1, 2), (20, 5, 8, 1)]


@pytest.mark.parametrize(("n", "d", "clusters", "iterations"), SIZES)
def test_k_means_against_a_loop(n: int, d: int, clusters: int, iterations: int) -> None:
    features = unit(n, d, n)
    labels, centroids = k_means(features, clusters, iterations)
    expected_labels, expected_centroids = naive_k_means(features.tolist(), clusters, iterations)
    assert labels.tolist() == expected_labels
    assert torch.allclose(centroids, torch.tensor(expected_centroids, dtype=torch.float64), atol=1e-6)


def test_k_means_leaves_empty_clusters_at_zero() -> None:
    """Two equal rows start two clusters; the first of them takes both."""
    rows = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    labels, centroids = k_means(rows, 3, 5)
    assert labels.tolist() == [0, 0, 2]
    assert centroids.tolist() == [[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]


def test_k_means_of_fewer_rows_than_clusters_is_one_cluster_for_each_row() -> None:
    """What 64 images for each of 8 GPUs and 120 clusters come to (decisions.md#32)."""
    features = unit(64, 128, 0)
    labels, centroids = k_means(features, 120, 5)
    assert labels.tolist() == list(range(64))
    assert torch.equal(centroids[:64], features) and not centroids[64:].any()


@pytest.mark.parametrize(("n", "d", "clusters", "iterations"), SIZES)
def test_cld_loss_against_a_loop(n: int, d: int, clusters: int, iterations: int) -> None:
    first, second = unit(n, d, 1), unit(n, d, 2)
    rows_1, rows_2 = first.tolist(), second.tolist()
    one, two = (naive_k_means(rows, clusters, iterations) for rows in (rows_1, rows_2))
    expected = (naive_cross_level(rows_1, *two, 0.4) + naive_cross_level(rows_2, *one, 0.4)) / 2
    loss = cld_loss(first, second, clusters=clusters, iterations=iterations, temperature=0.4, splits=1)
    assert float(loss) == pytest.approx(expected, abs=1e-6)


def test_splits_are_the_mean_of_devices_by_themselves() -> None:
    first, second = unit(12, 4, 1), unit(12, 4, 2)
    settings = {"clusters": 3, "iterations": 5, "temperature": 0.4}
    parts = [cld_loss(first[i : i + 4], second[i : i + 4], splits=1, **settings) for i in (0, 4, 8)]
    split = cld_loss(first, second, splits=3, **settings)
    assert torch.allclose(split, torch.stack(parts).mean(), atol=1e-12)
    assert not torch.allclose(split, cld_loss(first, second, splits=1, **settings), atol=1e-3)


def test_centroids_carry_gradient_and_labels_do_not() -> None:
    """Against differences of the loss: no part of the gradient is stopped."""
    first, second = unit(6, 3, 1).requires_grad_(), unit(6, 3, 2).requires_grad_()

    def loss(one: Tensor, two: Tensor) -> Tensor:
        return cld_loss(one, two, clusters=3, iterations=5, temperature=0.4, splits=1)

    assert torch.autograd.gradcheck(loss, (first, second))
    labels, centroids = k_means(first, 3, 5)
    assert centroids.requires_grad and not labels.requires_grad
    centroids[labels[0]].sum().backward()
    assert first.grad is not None
    assert first.grad[0].tolist() == pytest.approx([1 / labels.tolist().count(int(labels[0]))] * 3)


@pytest.mark.parametrize("clusters", [1, 6, 120])
def test_reference_loss_is_that_of_equal_features(clusters: int) -> None:
    run = method(clusters=clusters).run
    rows, queue = unit(1, 16, 0).repeat(8, 1), unit(1, 16, 0).repeat(32, 1).T
    groups = cld_loss(rows, rows, clusters=clusters, iterations=5, temperature=0.4, splits=2)
    instance, _ = info_nce(rows, rows, queue, run.temperature)
    assert run.reference_loss.value == pytest.approx(float(instance + 0.25 * groups), abs=1e-9)
    assert run.reference_loss.formula == f"ln(1 + K) + {0.25 * groups.item():.2f}, K = 32"


def test_normed_linear_gives_cosines() -> None:
    layer = NormedLinear(5, 3)
    assert torch.allclose(layer.weight.norm(dim=0), torch.ones(3)) and len(list(layer.parameters())) == 1
    rows = torch.randn(4, 5)
    with torch.no_grad():
        layer.weight.mul_(7)
    expected = functional.cosine_similarity(rows[:, None], layer.weight.T[None], dim=2)
    assert torch.allclose(layer(3 * rows), expected, atol=1e-6)


def test_one_step_does_what_the_paper_says() -> None:
    """Two passes with gradient, one through the average, the queue read before the keys enter."""
    cld = method()
    with torch.no_grad():
        for parameter in cld.f_q.parameters():  # so that the average moves
            parameter.add_(0.01)
    reference = copy.deepcopy(cld)
    views = batch()
    cld.begin_step(Position(4, 3, 3), cld.configure_optimizers())
    got = cld.training_step(views, 0)

    def both(view: Tensor) -> list[Tensor]:
        encoder, (linear, relu, instance) = reference.f_q
        hidden = relu(linear(encoder(normalised(view))))
        return [functional.normalize(layer(hidden), dim=1) for layer in (instance, reference.group_layer)]

    (q, g), (q2, g2) = both(views[0]), both(views[2])
    with torch.no_grad():
        for mine, parameter in zip(reference.f_q.parameters(), reference.f_k.parameters(), strict=True):
            parameter.copy_(0.9 * parameter + 0.1 * mine)
        order = key_order(8, 0, 4)
        k = torch.empty(8, 16)
        k[order] = functional.normalize(reference.f_k(normalised(views[1])[order]), dim=1)
    instance = (info_nce(q, k, reference.queue, 0.2)[0] + info_nce(q2, k, reference.queue, 0.2)[0]) / 2
    groups = cld_loss(g, g2, clusters=6, iterations=5, temperature=0.4, splits=2)
    assert torch.allclose(got["instance_loss"], instance, atol=1e-4)
    assert torch.allclose(got["cld_loss"], groups, atol=1e-4)
    assert torch.allclose(got["loss"], instance + 0.25 * groups, atol=1e-4)
    got["loss"].backward()
    cld.end_step()
    assert torch.allclose(cld.queue[:, :8], k.T, atol=1e-4)
    assert torch.equal(cld.queue[:, 8:], reference.queue[:, 8:]) and int(cld.pointer) == 8
    assert set(got) == {"loss", *cld.metric_names}
    learnt = [*cld.f_q.parameters(), *cld.group_layer.parameters()]
    assert all(p.grad is not None for p in learnt) and all(p.grad is None for p in cld.f_k.parameters())
    optimised = {id(p) for group in cld.configure_optimizers().param_groups for p in group["params"]}
    assert optimised == {id(p) for p in learnt}


def test_one_batch_can_be_learnt() -> None:
    """Three equal views of 8 images: the loss leaves its reference, which a collapse never does."""
    cld = method(bn_splits=1, learning_rate=0.01, cluster_splits=1)
    optimizer = cld.configure_optimizers()
    views = [batch()[0]] * 3
    for step in range(25):
        cld.begin_step(Position(step, 25, 1), optimizer)
        optimizer.zero_grad()
        got = cld.training_step(views, 0)
        got["loss"].backward()
        optimizer.step()
    assert got["loss"].item() < 0.7 * cld.run.reference_loss.value
    assert float(got["feature_std"]) > 0.5


def test_encoder_fits_torchvision() -> None:
    state = method(encoder="resnet50").encoder().state_dict()
    missing, unexpected = torchvision.models.resnet50(weights=None).load_state_dict(state, strict=False)
    assert missing == ["fc.weight", "fc.bias"] and unexpected == []


def test_method_is_a_function_of_its_run_and_leaves_the_generator_alone() -> None:
    first, other = built_from_its_run(method)
    assert not torch.equal(first.group_layer.weight, other.group_layer.weight)


def test_groups_that_do_not_divide_the_batch_are_refused() -> None:
    with pytest.raises(ValueError, match="batch_size 8 is not a multiple of cluster_splits 3"):
        Recipe.model_validate_json(json.dumps(json.loads(recipe("moco_v2_cld", cluster_splits=3))))
