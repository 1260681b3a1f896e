"""SimCLR: A Simple Framework for Contrastive Learning of Visual Representations (Chen, Kornblith, Norouzi and Hinton
2020).

    h = f(view) for two views of each of N images, all 2N in one batch
    z = g(h) = W2 relu(W1 h), scaled to length 1
    loss = cross-entropy of [z_i · z_j, j ≠ i] / T with the other view of the same image as the right answer (NT-Xent)

Head and loss as the paper's text has them (DEVIATIONS from the official code: decisions.md#35); optimiser and schedule
as the official code (`lars_optimizer.py`, `model.py`).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from scripts.lib.draws import derived_seed
from scripts.lib.encoders import build_encoder, feature_dim
from scripts.lib.recipe import Settings
from scripts.pretrain import ranks
from scripts.pretrain.contract import Method, Position, normalised
from scripts.pretrain.lars import Lars
from scripts.pretrain.metrics import feature_std
from scripts.pretrain.schedules import half_cosine
from scripts.pretrain.settings import SimclrRun
from scripts.pretrain.views import IndependentViews


class Recipe(Settings):
    """Recipe of `train` for this method."""

    run: SimclrRun


def nt_xent(features: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return NT-Xent (SimCLR, equation 1), averaged over all views, and the share of views nearest to their twin.

    Args:
        features: [2n, d], rows of length 1; row i and row n + i are views of one image.
        temperature: divides the cosines.
    """
    count = len(features)
    itself = torch.eye(count, dtype=torch.bool, device=features.device)
    logits = (features @ features.T / temperature).masked_fill(itself, -math.inf)  # 2n 2n
    twin = torch.arange(count, device=features.device).roll(count // 2)  # 2n
    return functional.cross_entropy(logits, twin), (logits.argmax(dim=1) == twin).float().mean()


def warm_cosine(step: int, warm_steps: int, total_steps: int) -> float:
    """Return the share of the learning rate at `step`: a line from 0 over `warm_steps`, then half a cosine to 0."""
    if step < warm_steps:
        return step / warm_steps
    return half_cosine(step - warm_steps, total_steps - warm_steps, 1.0, 0.0)


class Simclr(Method):
    """Encoder f and head g."""

    metric_names = ("accuracy", "feature_std")

    def __init__(self, run: SimclrRun) -> None:
        super().__init__()
        self.run = run
        self.make_views = IndependentViews(run.augmentation, run.augmentation_backend, count=2)
        self.f = build_encoder(run.encoder, run.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(run.seed, "simclr head"))
            width = feature_dim(run.encoder)
            self.g = nn.Sequential(
                nn.Linear(width, width, bias=False), nn.ReLU(), nn.Linear(width, run.feature_dim, bias=False)
            )

    def encoder(self) -> nn.Module:
        """Return f."""
        return self.f

    def projection_head(self) -> nn.Sequential:
        """Return g."""
        return self.g

    def training_step(self, batch: list[Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Return loss and metrics of one step; `batch` holds the two views, uint8 [n, 3, s, s]."""
        views = normalised(torch.cat(batch))  # 2n 3 s s: one pass, BatchNorm over all views (OFFICIAL)
        features = functional.normalize(self.g(self.f(views)).float(), dim=1)  # 2n d
        everyones = ranks.gathered_with_gradient(features).view(ranks.world(), 2, -1, features.shape[1])  # w 2 n d
        loss, accuracy = nt_xent(everyones.transpose(0, 1).flatten(0, 2), self.run.temperature)
        return {"loss": loss, "accuracy": accuracy, "feature_std": feature_std(features)}

    def learning_rate(self, position: Position) -> float:
        """Return a warm-up and half a cosine, both changing with each step."""
        warm_steps = self.run.warmup_epochs * position.steps_per_epoch
        return self.run.learning_rate * warm_cosine(position.step, warm_steps, position.total_steps)

    def configure_optimizers(self) -> Any:
        """Return LARS over f and g."""
        run = self.run
        return Lars(
            self.parameters(),
            lr=run.learning_rate,
            momentum=run.sgd_momentum,
            weight_decay=run.weight_decay,
            trust=run.trust_coefficient,
        )


def build_method(run: SimclrRun) -> Simclr:
    """Return SimCLR before its first step; a function of `run` alone."""
    return Simclr(run)
