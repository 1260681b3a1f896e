"""A linear classifier trained by SGD with momentum on fixed rows, as `torch.optim.SGD` does it, written out.

Without autograd a step costs a third; test_sgd_probe.py compares both. Weights, order and views are functions of
(seed, epoch), so a fit can be repeated and its weights taken at any epoch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from scripts.evaluate.settings_protocols import SgdRecipe
from scripts.lib.draws import generator

Head = tuple[torch.Tensor, torch.Tensor]  # weights [classes, d], biases [classes]


def learning_rate(recipe: SgdRecipe, epoch: int) -> float:
    """Return the rate of an epoch, counted from 0: steps at the milestones, else half a cosine that ends at 0."""
    if recipe.milestones is None:
        return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * epoch / recipe.epochs))
    return recipe.learning_rate * recipe.factor ** sum(epoch >= milestone for milestone in recipe.milestones)


def first_head(recipe: SgdRecipe, classes: int, dims: int, seed: int) -> Head:
    """Return the weights before the first step: normal with `initial_std`, biases 0."""
    draws = generator(seed, "sgd probe weights").standard_normal((classes, dims)) * recipe.initial_std
    return torch.from_numpy(draws.astype(np.float32)), torch.zeros(classes)


def train_head(
    rows: torch.Tensor, labels: torch.Tensor, classes: int, recipe: SgdRecipe, seed: int
) -> Iterator[tuple[int, Head]]:
    """Yield (epochs done, head) after each epoch; the head changes with the next one.

    Args:
        rows: float32 [n, d], or [n, v, d]: epoch e then sees view e mod v.
        labels: int64 [n], below `classes`, on the device of `rows`.
        classes: number of classes.
        recipe: rates and epochs.
        seed: of weights and order.
    """
    weights, biases = first_head(recipe, classes, rows.shape[-1], seed)
    head = Sgd(weights.to(rows.device), biases.to(rows.device), recipe)
    for epoch in range(recipe.epochs):
        view = rows if rows.dim() == 2 else rows[:, epoch % rows.shape[1]]
        order = generator(seed, "sgd probe order", epoch).permutation(len(rows))
        for batch in torch.split(torch.from_numpy(order).to(rows.device), recipe.batch_size):
            head.step(view[batch], labels[batch], learning_rate(recipe, epoch))
        yield epoch + 1, (head.weights, head.biases)


class Sgd:
    """Weights [classes, d] and biases [classes] with their momenta."""

    def __init__(self, weights: torch.Tensor, biases: torch.Tensor, recipe: SgdRecipe) -> None:
        self.weights, self.biases, self._recipe = weights, biases, recipe
        self._speeds = (torch.zeros_like(weights), torch.zeros_like(biases))

    def step(self, rows: torch.Tensor, labels: torch.Tensor, rate: float) -> None:
        """Take one step on the mean cross-entropy of a batch, rows [b, d]."""
        recipe = self._recipe
        residual = torch.addmm(self.biases, rows, self.weights.T).softmax(dim=1)  # [b, classes]
        residual.scatter_add_(1, labels[:, None], residual.new_full((len(labels), 1), -1.0))
        residual /= len(labels)
        gradients = (residual.T @ rows, residual.sum(dim=0))
        for value, speed, gradient in zip((self.weights, self.biases), self._speeds, gradients, strict=True):
            if recipe.weight_decay:
                gradient.add_(value, alpha=recipe.weight_decay)
            speed.mul_(recipe.momentum).add_(gradient)
            change = gradient.add_(speed, alpha=recipe.momentum) if recipe.nesterov else speed
            value.sub_(change, alpha=rate)


def answers_of_head(head: Head, rows: torch.Tensor) -> npt.NDArray[Any]:
    """Return the class of each row [n, d]; of equals the lower label."""
    found = [torch.addmm(head[1], part, head[0].T).cpu().numpy().argmax(axis=1) for part in torch.split(rows, 8192)]
    return np.concatenate(found).astype(np.int64)
