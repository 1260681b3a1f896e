"""Fits of an encoder with a linear layer: what is drawn, how long a fit is, which rate is chosen.

DEVIATION 93 (docs/decisions.md): parts are drawn here, and the last, smaller batch of an epoch is kept.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from scripts.evaluate.dense.loop import Fit, Losses, Place, Plan
from scripts.evaluate.dense.pictures import tensor_of
from scripts.evaluate.embedder import normalisation
from scripts.evaluate.holdout import required_holdout
from scripts.evaluate.items import Item, Reader
from scripts.evaluate.preprocess import interpolation_of
from scripts.evaluate.scores import Labels
from scripts.evaluate.settings import FinetuneClassifierSettings
from scripts.evaluate.settings_finetuned import ClassifierRecipe
from scripts.evaluate.views import ahead, augmented_view, load_pixels
from scripts.lib.checkpoints import remove_checkpoints
from scripts.lib.draws import derived_seed, generator, rank
from scripts.lib.encoders import feature_dim, load_encoder
from scripts.lib.files import write_json
from scripts.lib.images import centre_view

log = logging.getLogger(__name__)
HEAD_STD = 0.01  # of the linear layer's weights, as SwAV's `RegLog`
TEST_BATCH = 64


@dataclass(frozen=True)
class Labelled:
    """Images of a split and their labels."""

    items: Sequence[Item]
    labels: Labels

    def part(self, places: Sequence[int]) -> Labelled:
        """Return some of them."""
        return Labelled([self.items[place] for place in places], self.labels[list(places)])


@dataclass(frozen=True)
class Pair:
    """A learning rate and a weight decay."""

    rate: float
    decay: float


def draw_part(data: Labelled, share: float, seed: int) -> Labelled:
    """Return the share of each class that ranks first, at least one image; a larger share holds a smaller one."""
    chosen: list[int] = []
    for label in np.unique(data.labels):
        members = np.flatnonzero(data.labels == label).tolist()
        members.sort(key=lambda place: rank(seed, "labelled part", data.items[place].name))
        chosen.extend(members[: max(1, round(share * len(members)))])
    return data.part(sorted(chosen))


def pairs_of(recipe: ClassifierRecipe) -> list[Pair]:
    """Return the rates and decays to choose from, in the order of the recipe."""
    return [
        Pair(rate, decay / rate if recipe.decay_over_rate else decay)
        for rate, decay in itertools.product(recipe.learning_rates, recipe.weight_decays)
    ]


def epoch_batches(count: int, size: int, epoch: int, seed: int) -> list[list[int]]:
    """Return the batches of an epoch; the last may be smaller, but one image alone is left out (BatchNorm)."""
    order = generator(seed, "fine-tune order", epoch).permutation(count).tolist()
    batches = [order[first : first + size] for first in range(0, count, size)]
    return batches[:-1] if len(batches) > 1 and len(batches[-1]) == 1 else batches


def plan_for(recipe: ClassifierRecipe, pair: Pair, count: int, seed: int) -> Plan:
    """Return the steps of a recipe on `count` images: epochs with milestones, or steps; else half a cosine to 0."""
    per_epoch = len(epoch_batches(count, recipe.batch_size, 0, seed))
    steps = recipe.steps if recipe.epochs is None else recipe.epochs * per_epoch
    assert steps is not None  # the settings say so
    orders: dict[int, list[list[int]]] = {}

    def batch_of(step: int) -> list[int]:
        epoch, number = divmod(step, per_epoch)
        if epoch not in orders:
            orders[epoch] = epoch_batches(count, recipe.batch_size, epoch, seed)
        return orders[epoch][number]

    def rate_of(step: int) -> float:
        if recipe.milestones is None:
            return pair.rate * 0.5 * (1 + math.cos(math.pi * step / steps))
        return pair.rate * recipe.factor ** sum(step // per_epoch >= each for each in recipe.milestones)

    return Plan(steps, recipe.batch_size, seed, recipe.checkpoint_every_steps, rate_of, batch_of)


class Classifier(nn.Module):
    """An encoder and a linear layer, levels 0-1 [n, 3, h, w] → scores [n, classes]."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, encoder: tuple[nn.Module, dict[str, Any]], classes: int, seed: int) -> None:
        super().__init__()
        self.encoder, width = encoder[0], feature_dim(encoder[1]["encoder"])
        self.interpolation = interpolation_of(encoder[1])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(seed, "classifier weights"))
            self.head = nn.Linear(width, classes)
            nn.init.normal_(self.head.weight, std=HEAD_STD)
            nn.init.zeros_(self.head.bias)
        for name, values in zip(("mean", "std"), normalisation(encoder[1]), strict=True):
            self.register_buffer(name, values, persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the scores of the classes."""
        scores: torch.Tensor = self.head(self.encoder((images - self.mean) / self.std))
        return scores


class Trainer:
    """Everything that the fits of a job share.

    Args:
        settings: of the step.
        reader: of the task's images.
        weights: path of the encoder.
        classes: number of classes.
        place: where; a fit adds its own folder and key.
    """

    def __init__(
        self,
        settings: FinetuneClassifierSettings,
        reader: Reader,
        weights: str,
        classes: int,
        place: Place,
    ) -> None:
        self.settings, self._reader, self._weights = settings, reader, weights
        self._classes, self._place = classes, place

    def fit(self, data: Labelled, pair: Pair, purpose: str) -> Classifier:
        """Return a classifier trained on `data`, from its checkpoint where there is one."""
        recipe, seed, device = self.settings.recipe, self.settings.seed, self._place.device
        task = self.settings.task
        model = Classifier(load_encoder(self._weights), self._classes, seed).to(device)
        groups: list[dict[str, Any]] = [
            {"params": list(model.encoder.parameters())},
            {"params": list(model.head.parameters()), "rate_factor": recipe.head_factor},
        ]
        optimiser = torch.optim.SGD(
            groups, lr=pair.rate, momentum=recipe.momentum, weight_decay=pair.decay, nesterov=recipe.nesterov
        )
        folder = self._place.folder / purpose
        key = hashlib.sha256(f"{self._place.key} {purpose} {pair} {len(data.items)}".encode()).hexdigest()
        place = Place(folder, key, self._place.threads, device)
        plan = plan_for(recipe, pair, len(data.items), seed)
        fit = Fit(model, optimiser, plan, place)
        fit.restore()
        model.train()

        def load(step: int, index: int) -> tuple[torch.Tensor, int]:
            item = data.items[index]
            random = generator(seed, "fine-tune view", step, item.name)
            return tensor_of(augmented_view(load_pixels(item, self._reader, task), task.crop, random)), index

        def losses_of(samples: list[tuple[torch.Tensor, int]]) -> Losses:
            images = torch.stack([image for image, _ in samples]).to(device)
            labels = torch.from_numpy(data.labels[[index for _, index in samples]]).to(device)
            return {"loss": nn.functional.cross_entropy(model(images), labels)}

        fit.run(load, losses_of)
        return model

    @torch.inference_mode()
    def answers(self, model: Classifier, data: Labelled) -> Labels:
        """Return the class of each image's centre crop, resized as the encoder's file says."""
        model.eval()
        task, found = self.settings.task, []

        def load(item: Item) -> torch.Tensor:
            return tensor_of(
                centre_view(load_pixels(item, self._reader, task), task.resize, task.crop, model.interpolation)
            )

        loaded = ahead(load, data.items, self._place.threads, 2 * TEST_BATCH)
        while batch := list(itertools.islice(loaded, TEST_BATCH)):
            found.append(model(torch.stack(batch).to(self._place.device)).argmax(dim=1).cpu().numpy())
        return np.concatenate(found).astype(np.int64)

    def choose(self, part: Labelled) -> tuple[Pair, dict[str, Any]]:
        """Return the rate and decay that did best on a held-out part, the first of equals, and what was found."""
        pairs = pairs_of(self.settings.recipe)
        if len(pairs) == 1:
            return pairs[0], {}
        mask = required_holdout(part.labels, self.settings.recipe.holdout_share, self.settings.seed)
        kept, held = (part.part(np.flatnonzero(each).tolist()) for each in (~mask, mask))
        shares = []
        for number, pair in enumerate(pairs):
            note = self._place.folder / f"choice-{number}.json"
            own = f"{self._place.key} {pair}"
            if (done := _noted(note, own)) is None:
                right = self.answers(self.fit(kept, pair, f"choice-{number}"), held) == held.labels
                done = 100.0 * float(np.mean(right))
                write_json(note, {"key": own, "value": done})
                remove_checkpoints(self._place.folder / f"choice-{number}")
            told = (pair.rate, pair.decay, done, len(held.items))
            log.info("rate %g, weight decay %g: %.2f on %d held-out images", *told)
            shares.append(done)
        best = int(np.argmax(shares))
        return pairs[best], {"selected_on": f"{len(held.items)} held-out train images", "tried": shares}


def _noted(path: Path, key: str) -> float | None:
    if not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    return float(content["value"]) if content["key"] == key else None
