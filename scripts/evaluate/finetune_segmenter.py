"""Fine-tune an encoder for semantic segmentation and report the mean intersection over union.

The backbone starts from the encoder, the head from weights drawn by the seed; all of it is trained. The last step
counts: nothing is chosen on the test split.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from scripts.evaluate.dense.backbone import load_resnet
from scripts.evaluate.dense.job import Job, dense_parser, finish, folders_of, job_key, job_of, splits_of
from scripts.evaluate.dense.loop import Fit, Losses, Place, plan_of, sgd
from scripts.evaluate.dense.masks import SegmenterViews
from scripts.evaluate.dense.processes import launch, own_device, shared, threads_of, wait_for_all
from scripts.evaluate.dense.segmenter import (
    IGNORED,
    Labels,
    build_segmenter,
    confusion,
    constant_answer,
    mean_iou,
    pixel_accuracy,
)
from scripts.evaluate.items import TEST, TRAIN
from scripts.evaluate.settings_finetuned import FinetuneSegmenterSettings, SegmenterRecipe
from scripts.evaluate.views import ahead
from scripts.lib.errors import UserError
from scripts.lib.recipe import read_recipe
from scripts.lib.step import run_step

log = logging.getLogger(__name__)


def train(
    model: nn.Module, views: SegmenterViews, recipe: SegmenterRecipe, seed: int, place: Place
) -> list[tuple[float, float]]:
    """Train a segmenter, from its checkpoint where there is one; return rate and loss of each step."""
    parameters = [each for each in model.parameters() if each.requires_grad]
    fit = Fit(model, sgd([{"params": parameters}], recipe.schedule), plan_of(recipe, seed, len(views.pictures)), place)
    fit.restore()
    model.train()
    called = shared(model, place.world, place.device)

    def losses_of(samples: list[tuple[torch.Tensor, torch.Tensor]]) -> Losses:
        images = torch.stack([image for image, _ in samples]).to(place.device)
        labels = torch.stack([each for _, each in samples]).to(place.device)
        scores = called(images)  # [n, classes, crop, crop]
        total = nn.functional.cross_entropy(scores, labels, ignore_index=IGNORED, reduction="sum")
        return {"loss": total / (labels != IGNORED).sum().clamp(min=1)}  # a crop may show nothing that counts

    fit.run(views.train, losses_of)
    return fit.history


@torch.inference_mode()
def test(model: nn.Module, views: SegmenterViews, classes: int, place: Place) -> Labels:
    """Return how many pixels of each true class got each answer, over all pictures at their own size."""
    model.eval()
    table: Labels = np.zeros((classes, classes), dtype=np.int64)
    for image, labels in ahead(views.test, range(len(views.pictures)), place.threads, 4 * place.threads):
        answer = model(image[None].to(place.device))[0].argmax(dim=0).cpu().numpy()
        table += confusion(labels, answer, classes)
    return table


def figures(table: Labels, most_frequent: int) -> dict[str, tuple[float, float]]:
    """Return metric → (value, chance); chance is to answer the train split's most frequent class everywhere."""
    constant = constant_answer(table, most_frequent)
    return {name: (of(table), of(constant)) for name, of in (("miou", mean_iou), ("pixel_accuracy", pixel_accuracy))}


def work(rank: int, world: int, argument: tuple[Job, FinetuneSegmenterSettings]) -> None:
    """Do the job as one of `world` processes; the first tests and writes."""
    job, settings = argument
    recipe, task = settings.recipe, settings.task
    threads = threads_of(job.threads, world)
    torch.set_num_threads(threads)
    encoder = load_resnet(job.encoder)
    splits, folders = splits_of(job), folders_of(job, task, task.kind)
    key = job_key(job, "finetune_segmenter", task.kind, encoder[1]["encoder"])
    place = Place(job.folder, key, threads, own_device(rank), rank, world)
    model = build_segmenter(encoder, recipe, task.classes, settings.seed, world).to(place.device)
    views = SegmenterViews(splits[TRAIN], folders, (task, recipe), settings.seed)
    history = train(model, views, recipe, settings.seed, place)
    wait_for_all(world)
    if rank == 0:
        tested = SegmenterViews(splits[TEST], folders, (task, recipe), settings.seed)
        table = test(model, tested, task.classes, place)
        if not table.any():
            raise UserError(f"no pixel of the test masks of the set {task.name} counts; look at its `ignore`")
        more = {"train_images": len(splits[TRAIN]), "test_images": len(splits[TEST]), "processes": world}
        finish(job, settings, figures(table, views.most_frequent()), history, more)
    wait_for_all(world)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    options = dense_parser(__doc__, "FinetuneSegmenterSettings").parse_args(argv)
    settings = read_recipe(FinetuneSegmenterSettings, options.recipe)
    launch(options.devices, work, (job_of(options), settings))


if __name__ == "__main__":
    run_step(main)
