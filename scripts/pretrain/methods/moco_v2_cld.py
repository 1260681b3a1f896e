"""MoCo-v2-CLD: Unsupervised Feature Learning by Cross-Level Instance-Group Discrimination (Wang, Liu, Yu 2021).

    f_q, f_k as in MoCo-v2; a second last layer beside f_q's gives group features g
    (q, g), (q2, g2) = two views through f_q, k = a third view through f_k
    instance loss = mean of InfoNCE(q, k) and InfoNCE(q2, k)
    k-means of g gives labels and centroids, k-means of g2 too
    CLD loss = mean of the cross-entropies of [g · centroids of g2] / T with g2's labels, and the other way round
    loss = instance loss + λ CLD loss

Numerics of the official code (`main_imagenet_moco_cld.py`, `models/`, `spectral_clustering.py`, with
`train_imagenet_mocov2_cld.sh`); values in config.yaml. f_k, queue and InfoNCE are in scripts/pretrain/momentum.py.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from scripts.lib.draws import derived_seed
from scripts.lib.encoders import feature_dim
from scripts.lib.heads import NormedLinear
from scripts.lib.recipe import Settings
from scripts.pretrain import ranks
from scripts.pretrain.contract import normalised
from scripts.pretrain.metrics import feature_std
from scripts.pretrain.momentum import MomentumContrast, info_nce
from scripts.pretrain.settings import MocoV2CldRun
from scripts.pretrain.views import IndependentViews


class Recipe(Settings):
    """Recipe of `train` for this method."""

    run: MocoV2CldRun


def centroids_of(features: Tensor, labels: Tensor, clusters: int) -> Tensor:
    """Return the mean of each cluster's rows [clusters, d], zeros for an empty one; `features` [n, d], `labels` [n]."""
    members = functional.one_hot(labels, clusters).to(features.dtype).T  # c n
    return members @ features / members.sum(dim=1, keepdim=True).clamp(min=1)  # c d


def k_means(features: Tensor, clusters: int, iterations: int) -> tuple[Tensor, Tensor]:
    """Return labels [n] and centroids [clusters, d] of `features` [n, d]: Lloyd's algorithm, without any draw.

    The first centroids are the first rows; where there are fewer rows than clusters, the others come in empty after the
    first iteration. An empty cluster is the zero row, and may win rows from then on. Labels carry no gradient, the
    centroids do (OFFICIAL: no stop-gradient).
    """
    with torch.no_grad():
        centroids = features[:clusters]
        for _ in range(iterations):
            distances = (features[:, None] - centroids[None]).square().sum(dim=2)  # n c
            labels = distances.argmin(dim=1)  # n
            centroids = centroids_of(features, labels, clusters)
    return labels, centroids_of(features, labels, clusters)


def cld_loss(
    group_1: Tensor, group_2: Tensor, *, clusters: int, iterations: int, temperature: float, splits: int
) -> Tensor:
    """Return the loss of cross-level discrimination: an image of one view belongs to the cluster of the other view that
    its other view fell into (CLD section 3; OFFICIAL `grouping`), averaged over images and both directions.

    Args:
        group_1: [n, d], rows of length 1; group features of one view.
        group_2: [n, d], those of the other view of the same images.
        clusters: of k-means.
        iterations: of k-means.
        temperature: divides the products of features and centroids.
        splits: k-means sees n / splits images at a time.
    """
    losses = []
    with torch.autocast(group_1.device.type, enabled=False):  # sums of many small numbers
        for one, two in zip(group_1.chunk(splits), group_2.chunk(splits), strict=True):
            labels_1, centroids_1 = k_means(one, clusters, iterations)  # n/s, c d
            labels_2, centroids_2 = k_means(two, clusters, iterations)
            losses.append(functional.cross_entropy(one @ centroids_2.T / temperature, labels_2))
            losses.append(functional.cross_entropy(two @ centroids_1.T / temperature, labels_1))
    return torch.stack(losses).mean()


def build_head(width: int, dim: int) -> nn.Sequential:
    """Return the head of instance features, [n, width] → [n, dim]."""
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), NormedLinear(width, dim))


class MocoV2Cld(MomentumContrast):
    """f_q with a second last layer for groups, f_k and the queue.

    OFFICIAL: the official f_k has the second layer too, but nothing reads what comes out of it.
    """

    metric_names = ("accuracy", "feature_std", "instance_loss", "cld_loss")
    run: MocoV2CldRun

    def __init__(self, run: MocoV2CldRun) -> None:
        super().__init__(run, build_head)
        self.make_views = IndependentViews(run.augmentation, run.augmentation_backend, count=3)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(run.seed, "moco_v2_cld group layer"))
            self.group_layer = NormedLinear(feature_dim(run.encoder), run.feature_dim)

    def features(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """Return instance and group features of `views` [n, 3, s, s], both [n, d] with rows of length 1."""
        head: Any = self.f_q[1]
        hidden = head[:-1](self.f_q[0](views))  # n w, shared
        instance, group = head[-1](hidden), self.group_layer(hidden)
        return functional.normalize(instance.float(), dim=1), functional.normalize(group.float(), dim=1)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Return loss and metrics of one step; `batch` holds the views of q, k and q2, uint8 [n, 3, s, s]."""
        run = self.run
        view_q, view_k, view_q2 = batch
        query, group = self.features(normalised(view_q))  # n d
        query_2, group_2 = self.features(normalised(view_q2))  # n d
        key = self.keys(view_k)  # n d
        loss_1, accuracy = info_nce(query, key, self.queue, run.temperature)
        loss_2, _ = info_nce(query_2, key, self.queue, run.temperature)
        instance = (loss_1 + loss_2) / 2
        if run.cluster_splits == 1:
            group, group_2 = (ranks.gathered_with_gradient(each) for each in (group, group_2))  # w·n d
        cld = cld_loss(
            group,
            group_2,
            clusters=run.clusters,
            iterations=run.cluster_iterations,
            temperature=run.cluster_temperature,
            splits=len(group) // run.cluster_group if run.cluster_splits > 1 else 1,
        )
        loss = instance + run.cluster_weight * cld
        spread = feature_std(query)
        return {
            "loss": loss, "accuracy": accuracy, "feature_std": spread, "instance_loss": instance, "cld_loss": cld,
        }  # fmt: skip


def build_method(run: MocoV2CldRun) -> MocoV2Cld:
    """Return MoCo-v2-CLD before its first step; a function of `run` alone."""
    return MocoV2Cld(run)
