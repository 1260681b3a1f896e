"""What the engine asks of a method, and what it gives it. A method is one file of `scripts/pretrain/methods/`.

The file holds `Recipe`, the settings that `--recipe` is parsed as, and `build_method(run)`, which returns a `Method`.
Two things keep a run independent of interruptions and of the number of workers: a method keeps all its state (queue,
centre, EMA) in parameters and buffers, and all its draws are functions of (seed, step) or (seed, epoch, image, view).
A third makes it independent of the number of devices: `training_step` sees one process's slice of a micro-batch, and
what it needs of the others it asks of `scripts.pretrain.ranks`. State changes in `begin_step` and `end_step` alone, so
that all micro-batches of a step see the same.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from scripts.lib.draws import Uniform
from scripts.lib.encoders import IMAGENET_MEAN, IMAGENET_STD
from scripts.lib.images import Pixels
from scripts.pretrain.backend import View, load_finisher

# By the number of a view: what it is drawn from, for one image in one epoch.
ViewDraws = Callable[[int], Uniform]
# An RGB image → its views. Must be picklable: it runs in the loader's processes.
MakeViews = Callable[[Pixels, ViewDraws], list[View]]


@dataclass(frozen=True)
class Position:
    """Where a run stands: everything that a schedule may depend on."""

    step: int  # steps done before this one, since the run's start
    steps_per_epoch: int
    epochs: int

    @property
    def next(self) -> Position:
        """Return the position one step later."""
        return Position(self.step + 1, self.steps_per_epoch, self.epochs)

    @property
    def epoch(self) -> int:
        """Return the epoch of this step, from 0."""
        return self.step // self.steps_per_epoch

    @property
    def total_steps(self) -> int:
        """Return the number of steps of the whole run."""
        return self.steps_per_epoch * self.epochs


class Method(LightningModule, ABC):
    """A self-supervised method as the engine sees it."""

    # Scalars that `training_step` returns besides "loss", in the order of the columns of metrics.csv.
    metric_names: tuple[str, ...] = ()
    make_views: MakeViews
    position: Position
    part: int = 0  # the micro-batch of the step, from 0

    @abstractmethod
    def encoder(self) -> nn.Module:
        """Return the encoder that the run is for, with the parameter names of `scripts.lib.encoders`."""

    @abstractmethod
    def projection_head(self) -> nn.Sequential:
        """Return that encoder's projection head, [n, d] → [n, p], of layers that `scripts.lib.heads` knows."""

    @abstractmethod
    def learning_rate(self, position: Position) -> float:
        """Return the learning rate of the step at `position`."""

    def networks(self) -> list[nn.Module]:
        """Return the networks that take the time of a step: what `compile` compiles."""
        return [self.encoder()]

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> list[Tensor]:
        """Return the views, uint8 [n, 3, s, s] each: finished here where the loader left that to the device."""
        return [view if isinstance(view, Tensor) else load_finisher().finish(*view) for view in batch]

    def begin_step(self, position: Position, optimizer: torch.optim.Optimizer) -> None:
        """Take note of the position and set what follows a schedule; called before a step's first micro-batch."""
        self.position = position
        for group in optimizer.param_groups:
            group["lr"] = self.learning_rate(position)

    def end_step(self) -> None:
        """Change what the next step sees (queue, centre, teacher); called after the optimiser's step."""


def normalised(views: Tensor) -> Tensor:
    """Return uint8 views [n, 3, h, w] as the float input of an encoder: scaled to 0-1, ImageNet mean and deviation."""
    mean = torch.tensor(IMAGENET_MEAN, device=views.device).view(1, 3, 1, 1)
    std = torch.tensor(IMAGENET_STD, device=views.device).view(1, 3, 1, 1)
    return views.float().div_(255).sub_(mean).div_(std)
