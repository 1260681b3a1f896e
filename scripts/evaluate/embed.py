"""Compute the features of a labelled set under one encoder, once for all protocols.

One view for each image, as in the official evaluations (MoCo `main_lincls.py`, SwAV `eval_linear.py`, DINO
`eval_knn.py`): short side to `resize`, centre crop of `crop`, normalised as the encoder was trained.
"""

from __future__ import annotations

import importlib
import itertools
import logging
import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import nn

from scripts.evaluate.features import Features, best_device, save_features
from scripts.evaluate.items import TEST, TRAIN, Item, Reader
from scripts.evaluate.settings import EmbedSettings, TaskBase
from scripts.evaluate.views import ahead, centre_view, load_pixels
from scripts.lib.encoders import load_encoder
from scripts.lib.errors import UserError
from scripts.lib.images import Pixels
from scripts.lib.recipe import read_recipe
from scripts.lib.step import run_step, step_parser
from scripts.lib.tables import TASK_ITEMS

log = logging.getLogger(__name__)

BATCHES_AHEAD = 3  # decoded while the network works
LOG_SECONDS = 30.0
UPSAMPLING = 2.0  # the network sees pictures enlarged by more than this: worth a warning


def normalisation(description: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and standard deviation of the pixels (0-1, [1, 3, 1, 1]) that an encoder was trained with.

    Raises:
        UserError: the encoder's description does not say them; guessing would shift every feature.
    """
    found = []
    for key in ("mean", "std"):
        values = description.get(key)
        if not (
            isinstance(values, list) and len(values) == 3 and all(isinstance(each, int | float) for each in values)
        ):
            raise UserError(
                f"the description of the encoder has no `{key}` of three numbers (it has {values!r}), so its pictures "
                f"cannot be normalised; save it with save_encoder(..., {{'{key}': [...], ...}})"
            )
        found.append(torch.tensor(values, dtype=torch.float32).view(1, 3, 1, 1))
    if not bool((found[1] > 0).all()):
        raise UserError(f"the description of the encoder has the std {description['std']}; it must be above 0")
    return found[0], found[1]


@torch.inference_mode()
def embed_items(
    items: Sequence[Item],
    reader: Reader,
    encoder: tuple[nn.Module, dict[str, Any]],
    settings: EmbedSettings,
    threads: int,
) -> torch.Tensor:
    """Return the features of `items` in their order: float32 [n, d]; `encoder` is what `load_encoder` returns.

    Raises:
        UserError: an image cannot be decoded (`load_pixels`), or the encoder gives numbers that are not finite.
    """
    task, device = settings.task, best_device()
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
    mean, std = (each.to(device) for each in normalisation(encoder[1]))
    network = encoder[0].eval().to(device).to(memory_format=torch.channels_last)
    shorts: list[int] = []

    def prepare(item: Item) -> tuple[int, Pixels]:
        pixels = load_pixels(item, reader, task)
        return min(pixels.shape[:2]), centre_view(pixels, task.resize, task.crop)

    features: torch.Tensor | None = None
    start = logged = time.monotonic()
    views = ahead(prepare, items, threads, depth=BATCHES_AHEAD * settings.batch_size)
    for first in range(0, len(items), settings.batch_size):
        loaded = list(itertools.islice(views, settings.batch_size))
        shorts.extend(short for short, _ in loaded)
        batch = torch.from_numpy(np.stack([view for _, view in loaded])).to(device)  # [b, crop, crop, 3] uint8
        batch = (batch.permute(0, 3, 1, 2).float() / 255 - mean) / std
        out = network(batch.contiguous(memory_format=torch.channels_last)).float().cpu()  # [b, d]
        if not bool(torch.isfinite(out).all()):
            raise UserError(
                f"the encoder gives features that are not finite on the task {task.name}: its weights diverged in "
                "training. Look at metrics.csv of the run, and lower its learning rate"
            )
        if features is None:
            features = torch.empty(len(items), out.shape[1])
        features[first : first + len(out)] = out
        if time.monotonic() - logged > LOG_SECONDS:
            logged = time.monotonic()
            done = first + len(out)
            log.info("%d of %d images, %.0f images/s", done, len(items), done / (logged - start))
    assert features is not None, "list_task refuses an empty split"
    rate = len(items) / max(time.monotonic() - start, 1e-9)
    log.info("%d images on %s, %.0f images/s with %d threads", len(items), device, rate, threads)
    warn_of_upsampling(task, shorts)
    return features


def warn_of_upsampling(task: TaskBase, shorts: Sequence[int]) -> None:
    """Warn when the pictures are far smaller than what the network is shown: figures then say little."""
    median = statistics.median(shorts)
    if task.resize > UPSAMPLING * median:
        log.warning(
            "the pictures of the task %s have a median short side of %.0f pixels and are enlarged to %d: a `resize` "
            "near %.0f would show the network what is there",
            task.name,
            median,
            task.resize,
            median,
        )


def warn_of_collapse(features: torch.Tensor) -> None:
    """Log how much unit-length features vary; for features spread evenly over the sphere the figure is 1."""
    unit = nn.functional.normalize(features, dim=1)
    spread = float(unit.std(dim=0, correction=0).square().sum().sqrt())
    log.info("spread of the unit-length features: %.3f (1 = all directions, 0 = one point)", spread)
    if spread < 0.01:
        log.warning("all images have nearly the same features: the encoder collapsed, or its weights are not its own")


def embed(
    table: pa.Table,
    reader: Reader,
    encoder: tuple[nn.Module, dict[str, Any]],
    settings: EmbedSettings,
    threads: int,
) -> Features:
    """Return the features of both splits of a task, made in one pass in the table's order."""
    rows = table.to_pylist()
    items = [Item(row["split"], row["name"], row["class_name"], row["offset"], row["size"]) for row in rows]
    features = embed_items(items, reader, encoder, settings, threads)
    warn_of_collapse(features)
    labels = torch.tensor([row["label"] for row in rows], dtype=torch.int64)
    names = dict(sorted((row["label"], row["class_name"]) for row in rows))
    chosen = {split: torch.tensor([item.split == split for item in items]) for split in (TRAIN, TEST)}
    return Features(
        train_features=features[chosen[TRAIN]],
        train_labels=labels[chosen[TRAIN]],
        test_features=features[chosen[TEST]],
        test_labels=labels[chosen[TEST]],
        description={"task": settings.task.name, "class_names": list(names.values()), "encoder": encoder[1]},
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="JSON of EmbedSettings")
    parser.add_argument("--encoder", required=True, help="encoder (safetensors)")
    parser.add_argument("--items", required=True, help="table of `list_task`")
    parser.add_argument("--paths", nargs="*", default=[], help="values of the task's path keys, in order")
    parser.add_argument("--threads", required=True, type=int, help="CPU threads")
    parser.add_argument("--out", required=True, help="features and labels of both splits (safetensors)")
    options = parser.parse_args(argv)
    settings = read_recipe(EmbedSettings, options.recipe)
    torch.set_num_threads(options.threads)
    table = pq.read_table(options.items, schema=TASK_ITEMS)
    kind = importlib.import_module(f"scripts.evaluate.tasks.{settings.task.kind}")
    reader: Reader = kind.open_reader(settings.task, options.paths)
    encoder = load_encoder(options.encoder)
    log.info("task %s: %d images; encoder %s", settings.task.name, table.num_rows, encoder[1])
    features = embed(table, reader, encoder, settings, options.threads)
    save_features(options.out, features)
    log.info("wrote %s: features of %d dimensions", options.out, features.train_features.shape[1])


if __name__ == "__main__":
    run_step(main)
