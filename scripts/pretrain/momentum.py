"""What methods of the MoCo family share: f_q, its moving average f_k, the queue of keys, InfoNCE.

Momentum Contrast for Unsupervised Visual Representation Learning (He, Fan, Wu, Xie, Girshick 2020), section 3, with the
numerics of the official code (`moco/builder.py`, `main_moco.py`). A method adds its head and its loss.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from scripts.lib.draws import derived_seed, generator
from scripts.lib.encoders import build_encoder, feature_dim
from scripts.pretrain import ranks
from scripts.pretrain.batch_norm import average_running_statistics, split_batch_norms
from scripts.pretrain.contract import Method, Position, normalised
from scripts.pretrain.moving_average import follow
from scripts.pretrain.schedules import half_cosine
from scripts.pretrain.settings import MomentumRun


def info_nce(query: Tensor, key: Tensor, queue: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return InfoNCE (MoCo, equation 1), averaged over the batch, and the share of queries nearest to their own key.

    Args:
        query: [n, d], rows of length 1.
        key: [n, d], rows of length 1; the right answers.
        queue: [d, k], columns of length 1; the wrong ones.
        temperature: divides the cosines.
    """
    query = query / temperature  # here, not at the n (1 + k) logits
    positive = (query * key).sum(dim=1, keepdim=True)  # n 1
    negative = query @ queue  # n k
    target = torch.zeros(len(query), dtype=torch.long, device=query.device)
    loss = functional.cross_entropy(torch.cat([positive, negative], dim=1), target)
    return loss, (positive >= negative.amax(dim=1, keepdim=True)).float().mean()


def key_order(count: int, seed: int, micro_batch: int) -> Tensor:
    """Return the permutation in which the keys of a micro-batch, counted since the run's start, go through f_k."""
    return torch.from_numpy(generator(seed, "moco_v2 key order", micro_batch).permutation(count))


class MomentumContrast(Method):
    """f_q, f_k and the queue. `build_head(width, dim)` returns what follows the encoder in both networks."""

    run: MomentumRun
    queue: Tensor
    pointer: Tensor

    def __init__(self, run: MomentumRun, build_head: Callable[[int, int], nn.Sequential]) -> None:
        super().__init__()
        self.run = run
        encoder = build_encoder(run.encoder, run.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(run.seed, f"{run.method} head and queue"))
            head = build_head(feature_dim(run.encoder), run.feature_dim)
            queue = functional.normalize(torch.randn(run.feature_dim, run.queue_size), dim=0)  # d k
        if run.bn_splits > 1:
            split_batch_norms(encoder, run.bn_group)  # decisions.md#14
        self.f_q = nn.Sequential(encoder, head)
        self.f_k = copy.deepcopy(self.f_q).requires_grad_(False)
        self.register_buffer("queue", queue)
        self.register_buffer("pointer", torch.zeros((), dtype=torch.long))
        self.new_keys: list[Tensor] = []  # [n, d] of each micro-batch of this step

    def encoder(self) -> nn.Module:
        """Return the encoder of the queries."""
        encoder: nn.Module = self.f_q[0]
        return encoder

    def projection_head(self) -> nn.Sequential:
        """Return the head of the queries."""
        return cast(nn.Sequential, self.f_q[1])

    def networks(self) -> list[nn.Module]:
        """Return both encoders."""
        f_k: nn.Module = self.f_k[0]
        return [self.encoder(), f_k]

    @torch.no_grad()
    def keys(self, views: Tensor) -> Tensor:
        """Return f_k of `views`, uint8 [n, 3, s, s], as rows of length 1 [n, d]; they enter the queue after the step.

        The views are shuffled over the groups of BatchNorm, whatever the process that they came to, and the keys put
        back (MoCo section 3.3), so that the group's statistics do not tell which key belongs to which query.
        """
        everyones = ranks.gathered(views)  # w·n 3 s s
        micro_batch = self.position.step * self.run.accumulation_steps + self.part
        order = key_order(len(everyones), self.run.seed, micro_batch).to(views.device)
        shuffled = functional.normalize(self.f_k(normalised(ranks.own(everyones[order]))).float(), dim=1)  # n d
        keys = ranks.gathered(shuffled)[torch.argsort(order)]  # w·n d
        self.new_keys.append(keys)
        return ranks.own(keys)

    def begin_step(self, position: Position, optimizer: torch.optim.Optimizer) -> None:
        """Set the learning rate, and let f_k follow before the keys are made."""
        super().begin_step(position, optimizer)
        self.update_f_k()

    def end_step(self) -> None:
        """Put the step's keys into the queue."""
        for key in self.new_keys:
            self.enqueue(key)
        self.new_keys = []
        average_running_statistics(self)

    def update_f_k(self) -> None:
        """f_k = m f_k + (1 - m) f_q, on parameters only: BatchNorm's statistics are each network's own."""
        follow(self.f_k, self.f_q, self.run.key_momentum)

    @torch.no_grad()
    def enqueue(self, key: Tensor) -> None:
        """Put keys [n, d] in the place of the n oldest; the queue's size is a multiple of n (settings.py)."""
        first = int(self.pointer)
        self.queue[:, first : first + len(key)] = key.T
        self.pointer.fill_((first + len(key)) % self.run.queue_size)

    def learning_rate(self, position: Position) -> float:
        """Return half a cosine over the epochs, constant within an epoch, without warm-up."""
        return half_cosine(position.epoch, position.epochs, self.run.learning_rate, 0.0)

    def configure_optimizers(self) -> Any:
        """Return SGD with weight decay on all that is learnt by gradient, BatchNorm's parameters and biases too."""
        return torch.optim.SGD(
            [parameter for parameter in self.parameters() if parameter.requires_grad],
            lr=self.run.learning_rate,
            momentum=self.run.sgd_momentum,
            weight_decay=self.run.weight_decay,
        )
