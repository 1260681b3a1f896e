"""SwAV: Unsupervised Learning of Visual Features by Contrasting Cluster Assignments (Caron et al. 2020).

    z = encoder + MLP of each crop, of length 1; prototypes C of length 1; scores = z C
    q = assignment of the two large crops to prototypes, equally many to each (Sinkhorn-Knopp), without gradient
    p = softmax of scores / T
    loss = cross-entropy of each crop's p with the q of the *other* large crops
    small batches: older z of a queue take part in the assignment

Numerics of the official code (`main_swav.py`, `src/resnet50.py`, `scripts/swav_200ep_bs256_pretrain.sh`); values in
config.yaml.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from scripts.lib.draws import derived_seed
from scripts.lib.encoders import build_encoder, feature_dim
from scripts.lib.recipe import Settings
from scripts.pretrain import ranks
from scripts.pretrain.contract import Method, Position
from scripts.pretrain.larc import Larc
from scripts.pretrain.metrics import entropy_and_information, feature_std
from scripts.pretrain.multi_crop import MultiCrop, cross_entropy_of_others, forward_by_size
from scripts.pretrain.schedules import warm_up_then_cosine
from scripts.pretrain.settings_multicrop import SwavRun

ASSIGNED = (0, 1)  # OFFICIAL crops_for_assign: the first two crops


class Recipe(Settings):
    """Recipe of `train` for this method."""

    run: SwavRun


@torch.no_grad()
def sinkhorn(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    """Return soft assignments [n, k] of rows to prototypes, rows of sum 1, columns of nearly equal sums.

    Args:
        scores: [n, k], cosines; the prototypes' shares are equal over all processes' rows.
        epsilon: smaller is harder. Scores are not shifted before `exp`, as officially: e^(1/0.05) = 5e8 fits 32 bits.
        iterations: of scaling prototypes, then images.
    """
    plan = torch.exp(scores.float() / epsilon).T  # k n
    plan = plan / ranks.summed(plan.sum())
    prototypes, images = len(plan), plan.shape[1] * ranks.world()
    for _ in range(iterations):
        plan = plan / ranks.summed(plan.sum(dim=1, keepdim=True)) / prototypes
        plan = plan / plan.sum(dim=0, keepdim=True) / images
    return (plan * images).T  # n k


def swapped_loss(scores: Tensor, assignments: Tensor, temperature: float) -> Tensor:
    """Return the swapped prediction (SwAV, equation 2, over all crops): mean over assigned crops and other crops.

    Args:
        scores: [v, n, k], cosines of v crops.
        assignments: [a, n, k], those of the first a crops; rows of sum 1.
        temperature: divides the scores.
    """
    return cross_entropy_of_others(assignments, functional.log_softmax(scores / temperature, dim=2))


class Swav(Method):
    """Encoder, head, prototypes and queue."""

    metric_names = ("assignment_entropy", "assignment_information", "feature_std")
    queue: Tensor

    def __init__(self, run: SwavRun) -> None:
        super().__init__()
        self.run = run
        self.make_views = MultiCrop(run.augmentation, run.augmentation_backend)
        self.backbone = build_encoder(run.encoder, run.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(run.seed, "swav head and prototypes"))
            self.head = nn.Sequential(
                nn.Linear(feature_dim(run.encoder), run.hidden_dim),
                nn.BatchNorm1d(run.hidden_dim),
                nn.ReLU(),
                nn.Linear(run.hidden_dim, run.feature_dim),
            )
            self.prototypes = nn.Linear(run.feature_dim, run.prototypes, bias=False)
        # Newest first. Zeros until it is full, and not used before (`assignment`).
        self.register_buffer("queue", torch.zeros(len(ASSIGNED), run.queue_size, run.feature_dim))  # a q d
        self.new: list[Tensor] = []  # [a, n, d] of each micro-batch of this step

    def encoder(self) -> nn.Module:
        """Return the encoder without the head."""
        return self.backbone

    def projection_head(self) -> nn.Sequential:
        """Return the MLP before the prototypes."""
        return self.head

    def training_step(self, batch: list[Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Return loss and metrics of one step; `batch` holds the crops, uint8 [n, 3, s, s] each."""
        features = forward_by_size(self.backbone, batch)  # v·n w
        z = functional.normalize(self.head(features).float(), dim=1)  # v·n d
        scores = self.scores(z).view(len(batch), len(batch[0]), -1)  # v n k
        z = z.detach().view(len(batch), len(batch[0]), -1)  # v n d
        q = torch.stack([self.assignment(crop, scores[crop].detach()) for crop in ASSIGNED])  # a n k
        if self.queue_age >= 0:
            self.new.append(torch.stack([ranks.gathered(z[crop]) for crop in ASSIGNED]))  # a w·n d
        loss = swapped_loss(scores, q, self.run.temperature)
        # Entropy: ln k when every image belongs equally to all prototypes. Information: 0 when all images have the same
        # prototypes. Deviation: 1 when the features fill the sphere, 0 when all images have the same.
        entropy, told = entropy_and_information(q)
        spread = feature_std(z[0])
        return {"loss": loss, "assignment_entropy": entropy, "assignment_information": told, "feature_std": spread}

    def scores(self, z: Tensor) -> Tensor:
        """Return the cosines [n, k] of z [n, d] with the prototypes, in 32 bits whatever the precision."""
        with torch.autocast(z.device.type, enabled=False):
            return functional.linear(z, self.prototypes.weight)

    @property
    def queue_age(self) -> int:
        """Return the number of steps since the queue began to fill; negative before and without one."""
        since = self.position.step - self.run.queue_from_epoch * self.position.steps_per_epoch
        return since if self.run.queue_size > 0 else -1

    @torch.no_grad()
    def assignment(self, crop: int, scores: Tensor) -> Tensor:
        """Return the assignments [n, k] of an assigned crop with scores [n, k].

        The queue takes part once it is full, with scores by the prototypes of now.
        """
        count = len(scores)
        if self.queue_age >= 0 and self.queue_age * self.run.batch_size >= self.run.queue_size:
            scores = torch.cat([self.scores(ranks.own(self.queue[crop])), scores])  # q/w+n k
        return sinkhorn(scores, self.run.sinkhorn_epsilon, self.run.sinkhorn_iterations)[-count:]

    @torch.no_grad()
    def begin_step(self, position: Position, optimizer: torch.optim.Optimizer) -> None:
        """Set the learning rate, and the prototypes' lengths to 1."""
        super().begin_step(position, optimizer)
        self.prototypes.weight.copy_(functional.normalize(self.prototypes.weight, dim=1))  # k d

    @torch.no_grad()
    def end_step(self) -> None:
        """Put the step's features into the queue, newest first."""
        if self.new:
            newest = torch.cat(self.new, dim=1)  # a b d
            self.queue.copy_(torch.cat([newest, self.queue[:, : -newest.shape[1]]], dim=1))
        self.new = []

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Leave the prototypes as they are at first: no gradient, hence no weight decay and no momentum either."""
        if self.position.step < self.run.freeze_prototypes_steps:
            self.prototypes.weight.grad = None

    def learning_rate(self, position: Position) -> float:
        """Return a linear warm-up, then half a cosine, step by step."""
        rates = self.run.first_learning_rate, self.run.learning_rate, self.run.final_learning_rate
        return warm_up_then_cosine(position, self.run.warm_up_epochs, *rates)

    def configure_optimizers(self) -> Any:
        """Return LARC around SGD with weight decay on all parameters, those of BatchNorm and biases among them."""
        return Larc(
            self.parameters(),
            lr=self.run.learning_rate,
            momentum=self.run.sgd_momentum,
            weight_decay=self.run.weight_decay,
            trust=self.run.larc_trust,
        )


def build_method(run: SwavRun) -> Swav:
    """Return SwAV before its first step; a function of `run` alone."""
    return Swav(run)
