"""Train linear classifiers on cached features by the official SGD recipes; report the last epoch and a chosen one.

MoCo `main_lincls.py`, SwAV `eval_linear.py`, DINO `eval_linear.py`, VISSL's Places205 configuration. The official codes
draw new augmented views for each image and epoch and report the best epoch on the test split. Here the features are
those of one centre crop (protocols `..._centre_...`) or of a few augmented views that `embed` kept (`..._viewsN_...`),
and the epoch is chosen on a held-out part of train: the fit to all of train is read at that epoch, and at its last.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch

from scripts.evaluate.features import Array, best_device
from scripts.evaluate.holdout import required_holdout
from scripts.evaluate.protocol import Answer, Given, refuse_multi_label, run_protocol
from scripts.evaluate.scores import Labels, top1
from scripts.evaluate.settings_protocols import SgdProbeSettings, SgdRecipe
from scripts.evaluate.sgd import answers_of_head, train_head
from scripts.lib.errors import UserError
from scripts.lib.step import run_step

log = logging.getLogger(__name__)

Split = tuple[torch.Tensor, Labels]  # rows and their labels

EXTRAS = ("train_blocks", "test_blocks", "train_patches", "test_patches", "train_views")


def rows_of(given: Given, recipe: SgdRecipe, split: str) -> tuple[Array, str]:
    """Return what a recipe sees of one split, [n, d] or views [n, v, d], and its name.

    Raises:
        UserError: the recipe wants more blocks than were kept.
    """
    features = given.train_features if split == "train" else given.test_features
    blocks = given.extras.get(f"{split}_blocks")
    if recipe.blocks is not None and blocks is not None:
        if recipe.blocks > blocks.shape[1]:
            raise UserError(
                f"the recipe {recipe.name} of evaluate.sgd_probe wants the last {recipe.blocks} blocks, and "
                f"{blocks.shape[1]} were kept; set evaluate.cache.last_blocks to {recipe.blocks}"
            )
        parts = [blocks[:, -recipe.blocks :].reshape(len(blocks), -1)]
        if recipe.average_pool:
            parts.append(given.extras[f"{split}_patches"])
        return np.concatenate(parts, axis=1), f"blocks{recipe.blocks}" + "_pool" * recipe.average_pool
    if split == "train" and "train_views" in given.extras:
        views = given.extras["train_views"]
        return views, f"views{views.shape[1]}"
    return features, "centre"


def choose_epoch(kept: Split, held: Split, classes: int, recipe: SgdRecipe, seed: int) -> int:
    """Return the number of epochs after which a fit is most often right on the held-out part; of equals the fewest."""
    best_epoch, best_score = 0, -1.0
    known = torch.from_numpy(kept[1]).to(kept[0].device)
    for epoch, head in train_head(kept[0], known, classes, recipe, seed):
        score = top1(answers_of_head(head, held[0]), held[1])
        if score > best_score:
            best_epoch, best_score = epoch, score
    log.info("%s, seed %d: epoch %d, %.2f %% of the held-out part", recipe.name, seed, best_epoch, best_score)
    return best_epoch


def recipe_answers(given: Given, settings: SgdProbeSettings, recipe: SgdRecipe, seed: int) -> list[Answer]:
    """Return the answers of the last and of the chosen epoch of one fit to all of train."""
    device = best_device()
    array, view = rows_of(given, recipe, "train")
    train, test = (torch.from_numpy(each).to(device) for each in (array, rows_of(given, recipe, "test")[0]))
    mask = required_holdout(given.train_labels, settings.holdout_share, seed)
    kept, held = (torch.from_numpy(np.flatnonzero(each)).to(device) for each in (~mask, mask))
    centre = torch.from_numpy(given.train_features).to(device) if train.dim() == 3 else train
    labels = given.train_labels
    parts = (train[kept], labels[~mask]), (centre[held], labels[mask])
    chosen = choose_epoch(*parts, given.classes, recipe, seed)
    predicted = {}
    for epoch, head in train_head(train, torch.from_numpy(labels).to(device), given.classes, recipe, seed):
        if epoch in (chosen, recipe.epochs):
            predicted[epoch] = answers_of_head(head, test)
    facts = {**recipe.model_dump(mode="json"), "view": view, "holdout_share": settings.holdout_share}
    name = f"sgd_{recipe.name}_{view}"
    selected_on = f"{int(mask.sum())} held-out train images, read from the fit to all of train"
    last = Answer(f"{name}_last", predicted[recipe.epochs], seed, settings=facts)
    facts = {**facts, "chosen": {"epochs": chosen}}
    return [last, Answer(f"{name}_selected", predicted[chosen], seed, selected_on=selected_on, settings=facts)]


def sgd_answers(given: Given, settings: SgdProbeSettings) -> list[Answer]:
    """Return the answers of each recipe and seed."""
    refuse_multi_label(given, "sgd_probe")
    return [
        answer
        for recipe in settings.recipes
        for seed in settings.seeds
        for answer in recipe_answers(given, settings, recipe, seed)
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    run_protocol(argv, __doc__, SgdProbeSettings, sgd_answers, extras=EXTRAS, set_threads=torch.set_num_threads)


if __name__ == "__main__":
    run_step(main)
