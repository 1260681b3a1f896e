"""Fine-tune an encoder for detection, instance segmentation or keypoints, and report COCO's average precision.

The backbone starts from the encoder, everything else from weights drawn by the seed; all of it is trained. The last
step counts: nothing is chosen on the test split.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import torch
from torch import nn

from scripts.evaluate.dense.average_precision import (
    COCO_KEYPOINTS,
    Detection,
    average_precisions,
    detections_of,
    truth_of,
)
from scripts.evaluate.dense.backbone import load_resnet
from scripts.evaluate.dense.detector import build_detector
from scripts.evaluate.dense.job import Job, dense_parser, finish, folders_of, job_key, job_of, splits_of
from scripts.evaluate.dense.loop import Fit, Losses, Place, Plan, plan_of, prepared, sgd
from scripts.evaluate.dense.pictures import DetectorViews, Target, useful
from scripts.evaluate.dense.processes import launch, own_device, shared, threads_of, wait_for_all
from scripts.evaluate.items import TEST, TRAIN
from scripts.evaluate.settings_finetuned import DetectorRecipe, FinetuneDetectorSettings
from scripts.evaluate.views import ahead
from scripts.lib.errors import UserError
from scripts.lib.recipe import read_recipe
from scripts.lib.step import run_step

log = logging.getLogger(__name__)
LOG_SECONDS = 30.0


def train(
    model: nn.Module, views: DetectorViews, recipe: DetectorRecipe, seed: int, place: Place
) -> list[tuple[float, float]]:
    """Train a detector, from its checkpoint where there is one; return rate and loss of each step."""
    plan = plan_of(recipe, seed, len(views.pictures))
    parameters = [each for each in model.parameters() if each.requires_grad]
    fit = Fit(model, sgd([{"params": parameters}], recipe.schedule), plan, place)
    fit.restore()
    model.train()
    called = shared(model, place.world, place.device)

    def losses_of(samples: list[tuple[torch.Tensor, Target]]) -> Losses:
        images = [image.to(place.device) for image, _ in samples]
        targets = [{name: each.to(place.device) for name, each in target.items()} for _, target in samples]
        found: Losses = called(images, targets)
        return found

    fit.run(views.train, losses_of)
    if recipe.precise_norm_steps:
        set_norms(model, views, recipe.precise_norm_steps, plan, place)
    return fit.history


@torch.no_grad()
def set_norms(model: nn.Module, views: DetectorViews, steps: int, plan: Plan, place: Place) -> None:
    """Replace the running statistics of BatchNorm by plain means over so many batches (detectron2's precise BN)."""
    norms = [each for each in model.modules() if isinstance(each, nn.modules.batchnorm._BatchNorm)]
    momenta = [each.momentum for each in norms]
    for each in norms:
        each.reset_running_stats()
        each.momentum = None  # a plain mean
    more = Plan(plan.steps + steps, plan.batch_size, plan.seed, 1, plan.rate_of, plan.batch_of)
    for samples in prepared(more, place, views.train, plan.steps):
        targets = [{name: each.to(place.device) for name, each in target.items()} for _, target in samples]
        model([image.to(place.device) for image, _ in samples], targets)
    for each, momentum in zip(norms, momenta, strict=True):
        each.momentum = momentum


@torch.inference_mode()
def detect(model: nn.Module, views: DetectorViews, place: Place) -> list[Detection]:
    """Return what a detector finds in all pictures, one after another."""
    model.eval()
    found: list[Detection] = []
    began = said = time.monotonic()
    total = len(views.pictures)
    for number, image in enumerate(ahead(views.test, range(total), place.threads, 4 * place.threads)):
        (output,) = model([image.to(place.device)])
        shown = (image.shape[2], image.shape[1])
        found.extend(detections_of(output, views.pictures[number], number, shown))
        if (now := time.monotonic()) - said > LOG_SECONDS:
            said, rate = now, (number + 1) / (now - began)
            log.info("tested %d of %d pictures, %.0f minutes left", number + 1, total, (total - number) / rate / 60)
    return found


def figures(
    views: DetectorViews, detections: Sequence[Detection], classes: Sequence[str], recipe: DetectorRecipe
) -> dict[str, tuple[float, float]]:
    """Return metric → (value, chance): average precisions of boxes and of what the head adds."""
    truth = truth_of(views.pictures, classes)
    kinds = ["box"] if recipe.head == "box" else ["box", recipe.head]
    found: dict[str, tuple[float, float]] = {}
    for kind in kinds:
        values = average_precisions(truth, detections, kind, voc=recipe.metric == "voc" and kind == "box")
        found |= {name: (value, 0.0) for name, value in values.items()}  # who finds nothing has 0
    if not found:
        raise UserError("no test picture has a thing that counts, so there is no average precision; give it a larger test split")  # fmt: skip  # noqa: E501
    return found


def work(rank: int, world: int, argument: tuple[Job, FinetuneDetectorSettings]) -> None:
    """Do the job as one of `world` processes; the first tests and writes."""
    job, settings = argument
    recipe, task = settings.recipe, settings.task
    threads = threads_of(job.threads, world)
    torch.set_num_threads(threads)
    encoder, description = load_resnet(job.encoder)
    classes, keypoints = job.facts["classes"], job.facts["keypoints"]
    if recipe.head == "keypoint" and len(keypoints) != COCO_KEYPOINTS:
        raise UserError(
            f"the set {task.name} has {len(keypoints)} keypoints; average precision is defined for COCO's "
            f"{COCO_KEYPOINTS}, whose tolerances are published (person_keypoints_*.json)"
        )
    splits, folders = splits_of(job), folders_of(job, task, task.kind)
    used = [each for each in splits[TRAIN] if useful(each, recipe.head)]
    if rank == 0:
        log.info("%d of %d train pictures have something to learn from", len(used), len(splits[TRAIN]))
    if not used:
        raise UserError(f"no train picture of the set {task.name} has a thing that trains a {recipe.head} head")
    key = job_key(job, "finetune_detector", task.kind, description["encoder"])
    place = Place(job.folder, key, threads, own_device(rank), rank, world)
    model = build_detector((encoder, description), recipe, (len(classes), len(keypoints)), settings.seed, world)
    model.to(place.device)
    history = train(model, DetectorViews(used, folders, recipe, settings.seed, keypoints), recipe, settings.seed, place)
    wait_for_all(world)
    if rank == 0:
        tested = DetectorViews(splits[TEST], folders, recipe, settings.seed, keypoints)
        values = figures(tested, detect(model, tested, place), classes, recipe)
        more = {"train_images": len(used), "test_images": len(splits[TEST]), "processes": world}
        finish(job, settings, values, history, more)
    wait_for_all(world)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    options = dense_parser(__doc__, "FinetuneDetectorSettings").parse_args(argv)
    settings = read_recipe(FinetuneDetectorSettings, options.recipe)
    launch(options.devices, work, (job_of(options), settings))


if __name__ == "__main__":
    run_step(main)
