"""MoCo-v2: Improved Baselines with Momentum Contrastive Learning (Chen, Fan, Girshick, He 2020).

    f_q, f_k = encoder + two-layer MLP; f_k starts as f_q and follows it as a moving average
    q = f_q(view 1), k = f_k(view 2), both of length 1
    loss = cross-entropy of [q·k, q·queue] / T with the own key as the right answer
    the queue takes the keys in and gives the oldest away

Numerics of the official code (`moco/builder.py`, `main_moco.py` with `--mlp --moco-t 0.2 --aug-plus --cos`); values in
config.yaml.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from scripts.lib.draws import derived_seed, generator
from scripts.lib.encoders import FEATURE_DIMS, build_encoder
from scripts.lib.recipe import Settings
from scripts.pretrain.augment import apply_parameters, draw_parameters, to_tensor
from scripts.pretrain.batch_norm import split_batch_norms
from scripts.pretrain.contract import Method, Position, ViewDraws, normalised
from scripts.pretrain.settings import MocoAugmentation, MocoV2Run


class Recipe(Settings):
    """Recipe of `train` for this method."""

    run: MocoV2Run


class TwoViews:
    """Two independent views of an image."""

    def __init__(self, settings: MocoAugmentation) -> None:
        self.settings = settings

    def __call__(self, image: Image.Image, draws: ViewDraws) -> list[Tensor]:
        """Return the query's and the key's view, uint8 [3, s, s]."""
        drawn = (draw_parameters(self.settings, *image.size, draws(view)) for view in (0, 1))
        return [to_tensor(apply_parameters(image, each, self.settings.image_size)) for each in drawn]


def info_nce(query: Tensor, key: Tensor, queue: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return InfoNCE (MoCo, equation 1), averaged over the batch, and the share of queries nearest to their own key.

    Args:
        query: [n, d], rows of length 1.
        key: [n, d], rows of length 1; the right answers.
        queue: [d, k], columns of length 1; the wrong ones.
        temperature: divides the cosines.
    """
    positive = (query * key).sum(dim=1, keepdim=True)  # n 1
    negative = query @ queue  # n k
    logits = torch.cat([positive, negative], dim=1) / temperature  # n 1+k
    target = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
    return functional.cross_entropy(logits, target), (logits.argmax(dim=1) == 0).float().mean()


def key_order(count: int, seed: int, step: int) -> Tensor:
    """Return the permutation in which the keys of a step go through f_k."""
    return torch.from_numpy(generator(seed, "moco_v2 key order", step).permutation(count))


class MocoV2(Method):
    """f_q, f_k and the queue."""

    metric_names = ("accuracy", "feature_std")
    queue: Tensor
    pointer: Tensor

    def __init__(self, run: MocoV2Run) -> None:
        super().__init__()
        self.run = run
        self.make_views = TwoViews(run.augmentation)
        encoder = build_encoder(run.encoder, run.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(run.seed, "moco_v2 head and queue"))
            width = FEATURE_DIMS[run.encoder]
            head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, run.feature_dim))
            queue = functional.normalize(torch.randn(run.feature_dim, run.queue_size), dim=0)  # d k
        split_batch_norms(encoder, run.bn_splits)  # decisions.md#14
        self.f_q = nn.Sequential(encoder, head).to(memory_format=torch.channels_last)
        self.f_k = copy.deepcopy(self.f_q).requires_grad_(False)
        self.register_buffer("queue", queue)
        self.register_buffer("pointer", torch.zeros((), dtype=torch.long))

    def encoder(self) -> nn.Module:
        """Return the encoder of the queries."""
        encoder: nn.Module = self.f_q[0]
        return encoder

    def training_step(self, batch: list[Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Return loss and metrics of one step; `batch` holds the two views, uint8 [n, 3, s, s]."""
        view_q, view_k = (normalised(view) for view in batch)
        query = functional.normalize(self.f_q(view_q).float(), dim=1)  # n d
        with torch.no_grad():
            self.update_f_k()  # before the keys are made
            key = self.keys(view_k)  # n d
        # The clone keeps what `backward` needs from `enqueue`.
        loss, accuracy = info_nce(query, key, self.queue.clone(), self.run.temperature)
        self.enqueue(key)
        # 1 when the features fill the sphere, 0 when all images have the same: collapse.
        spread = query.detach().std(dim=0).mean() * math.sqrt(self.run.feature_dim)
        return {"loss": loss, "accuracy": accuracy, "feature_std": spread}

    def keys(self, views: Tensor) -> Tensor:
        """Return f_k of `views` [n, 3, s, s] as rows of length 1 [n, d].

        The views are shuffled over the groups of BatchNorm and the keys put back (MoCo section 3.3), so that the
        group's statistics do not tell which key belongs to which query.
        """
        order = key_order(len(views), self.run.seed, self.position.step).to(views.device)
        shuffled = functional.normalize(self.f_k(views[order]).float(), dim=1)  # n d
        return shuffled[torch.argsort(order)]

    @torch.no_grad()
    def update_f_k(self) -> None:
        """f_k = m f_k + (1 - m) f_q, on parameters only: BatchNorm's statistics are each network's own."""
        m = self.run.key_momentum
        for parameter_q, parameter_k in zip(self.f_q.parameters(), self.f_k.parameters(), strict=True):
            parameter_k.mul_(m).add_(parameter_q, alpha=1 - m)

    @torch.no_grad()
    def enqueue(self, key: Tensor) -> None:
        """Put keys [n, d] in the place of the n oldest; the queue's size is a multiple of n (settings.py)."""
        first = int(self.pointer)
        self.queue[:, first : first + len(key)] = key.T
        self.pointer.fill_((first + len(key)) % self.run.queue_size)

    def learning_rate(self, position: Position) -> float:
        """Return half a cosine over the epochs, constant within an epoch, without warm-up."""
        return self.run.learning_rate * 0.5 * (1 + math.cos(math.pi * position.epoch / position.epochs))

    def configure_optimizers(self) -> Any:
        """Return SGD with weight decay on all parameters of f_q, those of BatchNorm and biases among them."""
        return torch.optim.SGD(
            self.f_q.parameters(),
            lr=self.run.learning_rate,
            momentum=self.run.sgd_momentum,
            weight_decay=self.run.weight_decay,
        )


def build_method(run: MocoV2Run) -> MocoV2:
    """Return MoCo-v2 before its first step; a function of `run` alone."""
    return MocoV2(run)
