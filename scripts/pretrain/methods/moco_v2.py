"""MoCo-v2: Improved Baselines with Momentum Contrastive Learning (Chen, Fan, Girshick, He 2020).

    f_q, f_k = encoder + two-layer MLP; f_k starts as f_q and follows it as a moving average
    q = f_q(view 1), k = f_k(view 2), both of length 1
    loss = cross-entropy of [q·k, q·queue] / T with the own key as the right answer
    the queue takes the keys in and gives the oldest away

Numerics of the official code (`moco/builder.py`, `main_moco.py` with `--mlp --moco-t 0.2 --aug-plus --cos`); values in
config.yaml. f_k, the queue and InfoNCE are in scripts/pretrain/momentum.py.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from scripts.lib.recipe import Settings
from scripts.pretrain.contract import normalised
from scripts.pretrain.metrics import feature_std
from scripts.pretrain.momentum import MomentumContrast, info_nce
from scripts.pretrain.settings import MocoV2Run
from scripts.pretrain.views import IndependentViews


class Recipe(Settings):
    """Recipe of `train` for this method."""

    run: MocoV2Run


def build_head(width: int, dim: int) -> nn.Sequential:
    """Return the two-layer MLP, [n, width] → [n, dim]."""
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, dim))


class MocoV2(MomentumContrast):
    """f_q, f_k and the queue."""

    metric_names = ("accuracy", "feature_std")

    def __init__(self, run: MocoV2Run) -> None:
        super().__init__(run, build_head)
        self.make_views = IndependentViews(run.augmentation, run.augmentation_backend, count=2)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Return loss and metrics of one step; `batch` holds the two views, uint8 [n, 3, s, s]."""
        view_q, view_k = batch
        query = functional.normalize(self.f_q(normalised(view_q)).float(), dim=1)  # n d
        key = self.keys(view_k)  # n d
        loss, accuracy = info_nce(query, key, self.queue, self.run.temperature)
        return {"loss": loss, "accuracy": accuracy, "feature_std": feature_std(query)}


def build_method(run: MocoV2Run) -> MocoV2:
    """Return MoCo-v2 before its first step; a function of `run` alone."""
    return MocoV2(run)
