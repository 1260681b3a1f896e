"""Compute the features of a labelled set under one encoder, once for all protocols.

One view for each image, as in the official evaluations (MoCo `main_lincls.py`, SwAV `eval_linear.py`, DINO
`eval_knn.py`): short side to `resize`, centre crop of `crop` (the encoder's own sizes, or the task's: `preprocess`),
resampled and normalised as the encoder was trained; and, where `cache.train_views` asks for them, augmented views of
the train images for SGD probes. The pass is made in shards, so that a kill costs one of them, and the shards are joined
into one file.
"""

from __future__ import annotations

import importlib
import logging
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors
import torch
from torch import nn

from scripts.evaluate.embedder import Embedder
from scripts.evaluate.feature_shards import ShardFolder
from scripts.evaluate.features import Array, best_device, join_shards
from scripts.evaluate.items import TEST, TRAIN, Item, Reader
from scripts.evaluate.preprocess import as_shown
from scripts.evaluate.settings import EmbedSettings
from scripts.evaluate.settings_tasks import TaskBase
from scripts.lib.encoder_names import family_of
from scripts.lib.encoders import load_encoder
from scripts.lib.files import sha256_file
from scripts.lib.fingerprint import code_hash
from scripts.lib.flags import input_file, output_file, outside_data
from scripts.lib.recipe import read_recipe
from scripts.lib.step import run_step, step_parser
from scripts.lib.tables import TASK_ITEMS

log = logging.getLogger(__name__)

LOG_SECONDS = 30.0
UPSAMPLING = 2.0  # the network sees pictures enlarged by more than this: worth a warning


def embed_shards(items: Sequence[Item], embedder: Embedder, folder: ShardFolder, size: int) -> dict[str, list[Path]]:
    """Embed both splits shard by shard, those that are not there yet; return split → files in order."""
    found: dict[str, list[Path]] = {}
    done = fresh = 0
    start = logged = time.monotonic()
    for split in (TRAIN, TEST):
        own = [item for item in items if item.split == split]
        found[split] = []
        for number, first in enumerate(range(0, len(own), size)):
            part = own[first : first + size]
            if not folder.has(split, number):
                folder.write(split, number, embedder.embed(part))
                fresh += len(part)
            found[split].append(folder.path(split, number))
            done += len(part)
            if time.monotonic() - logged > LOG_SECONDS:
                logged = time.monotonic()
                rate = fresh / (logged - start)
                left = (len(items) - done) / rate if rate else 0.0
                log.info("%d of %d images, %.0f images/s, %.0f minutes left", done, len(items), rate, left / 60)
    rate = fresh / max(time.monotonic() - start, 1e-9)
    kept = len(items) - fresh
    log.info("%d images embedded on %s, %.0f images/s; %d kept from before", fresh, embedder.device, rate, kept)
    return found


def enlargement(task: TaskBase, shorts: Sequence[int]) -> float | None:
    """Return how many times larger than the pictures the network's input is, where that spoils figures, else None."""
    median = statistics.median(shorts)
    if task.resize <= UPSAMPLING * median:
        return None
    log.warning(
        "the pictures of the task %s have a median short side of %.0f pixels and are enlarged to %d: a `resize` "
        "near %.0f (under evaluate.preprocess: task) would show the network what is there",
        task.name,
        median,
        task.resize,
        median,
    )
    return round(task.resize / median, 2)


def warn_of_collapse(features: Array) -> None:
    """Log how much unit-length features vary; for features spread evenly over the sphere the figure is 1."""
    unit = nn.functional.normalize(torch.from_numpy(features), dim=1)
    spread = float(unit.std(dim=0, correction=0).square().sum().sqrt())
    log.info("spread of the unit-length features: %.3f (1 = all directions, 0 = one point)", spread)
    if spread < 0.01:
        log.warning("all images have nearly the same features: the encoder collapsed, or its weights are not its own")


def short_sides(shards: dict[str, list[Path]]) -> list[int]:
    """Return the short sides of all pictures, in pixels."""
    shorts: list[int] = []
    for path in (path for paths in shards.values() for path in paths):
        with safetensors.safe_open(path, framework="np") as shard:
            shorts.extend(shard.get_tensor("short").tolist())
    return shorts


def look_at(shards: dict[str, list[Path]]) -> int:
    """Warn of what spoils features, by the first test shard; return their width."""
    with safetensors.safe_open(shards[TEST][0], framework="np") as shard:
        features = shard.get_tensor("features").astype(np.float32)
    warn_of_collapse(features)
    return int(features.shape[1])


def label_tensors(rows: Sequence[dict[str, Any]], classes: int) -> tuple[dict[str, Array], bool]:
    """Return the labels of both splits, and whether train images have several.

    Where they have, or where test images accept other labels than their own, `<split>_accepted` [n, classes] is there;
    where test images have labels that are neither right nor wrong for them, `test_ignored` is.
    """
    found: dict[str, Array] = {}
    several = {TRAIN: False, TEST: False}
    for split in (TRAIN, TEST):
        own = [row for row in rows if row["split"] == split]
        found[f"{split}_labels"] = np.array([row["label"] for row in own], dtype=np.int64)
        several[split] = any(row["accepted"] != [row["label"]] for row in own)
    for split in [*([TRAIN] if several[TRAIN] else []), *([TEST] if any(several.values()) else [])]:
        own = [row for row in rows if row["split"] == split]
        accepted = np.zeros((len(own), classes), dtype=bool)
        for place, row in enumerate(own):
            accepted[place, row["accepted"]] = True
        found[f"{split}_accepted"] = accepted
    own = [row for row in rows if row["split"] == TEST]
    if any(row["ignored"] for row in own):
        found["test_ignored"] = np.zeros((len(own), classes), dtype=bool)
        for place, row in enumerate(own):
            found["test_ignored"][place, row["ignored"]] = True
    return found, several[TRAIN]


def class_names(table: pa.Table) -> list[str]:
    """Return the names of all classes by label; a class that stands for no image of its own has its label's digits."""
    names = dict(zip(table["label"].to_pylist(), table["class_name"].to_pylist(), strict=True))
    more = (*table["accepted"].to_pylist(), *table["ignored"].to_pylist())
    last = max([*names, *(label for labels in more for label in labels)])
    return [names.get(label, str(label)) for label in range(last + 1)]


def describe(
    table: pa.Table, settings: EmbedSettings, encoder: dict[str, Any], inputs: dict[str, Any], enlarged: float | None
) -> dict[str, Any]:
    """Return what a file of features says about itself; `inputs` are the SHA-256 of weights and labelled set.

    Where pictures were enlarged much (see `enlargement`), this is among the inputs, and so in each row of results.
    """
    task = settings.task
    view: dict[str, Any] = {"resize": task.resize, "crop": task.crop, "precision": settings.cache.precision}
    if enlarged is not None:
        view["enlarged"] = enlarged
    return {"task": task.name, "class_names": class_names(table), "encoder": encoder, "inputs": {**inputs, **view}}


def shard_facts(recipe: str, settings: EmbedSettings, encoder: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """Return everything that the numbers in a shard depend on."""
    family = f"scripts.lib.architectures.{family_of(encoder)}"
    kind = f"scripts.evaluate.tasks.{settings.task.kind}"
    code = code_hash("scripts.evaluate.embed", kind, family)
    device = best_device().type
    return {"recipe": recipe, "inputs": inputs, "code": code, "torch": torch.__version__, "device": device}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="JSON of EmbedSettings")
    parser.add_argument("--encoder", required=True, type=input_file, help="encoder (safetensors)")
    parser.add_argument("--items", required=True, type=input_file, help="table of `list_task`")
    parser.add_argument(
        "--paths", nargs="*", default=[], type=outside_data, help="values of the task's path keys, in order"
    )
    parser.add_argument("--threads", required=True, type=int, help="CPU threads")
    parser.add_argument(
        "--out", required=True, type=output_file, help="features and labels of both splits (safetensors)"
    )
    options = parser.parse_args(argv)
    settings = read_recipe(EmbedSettings, options.recipe)
    torch.set_num_threads(options.threads)
    table = pq.read_table(options.items, schema=TASK_ITEMS)
    encoder = load_encoder(options.encoder)
    task, noted = as_shown(settings.task, settings.preprocess, encoder[1])
    settings = settings.model_copy(update={"task": task})
    kind = importlib.import_module(f"scripts.evaluate.tasks.{settings.task.kind}")
    reader: Reader = kind.open_reader(settings.task, options.paths)
    inputs = {"encoder_sha256": sha256_file(options.encoder), "items_sha256": sha256_file(options.items), **noted}
    log.info("task %s: %d images; encoder %s", settings.task.name, table.num_rows, encoder[1])
    rows = table.to_pylist()
    items = [Item(row["split"], row["name"], row["class_name"], row["offset"], row["size"]) for row in rows]
    folder = ShardFolder(options.out, shard_facts(options.recipe, settings, encoder[1]["encoder"], inputs))
    embedder = Embedder(reader, encoder, settings, options.threads)
    shards = embed_shards(items, embedder, folder, settings.cache.shard_images)
    description = describe(table, settings, encoder[1], inputs, enlargement(settings.task, short_sides(shards)))
    tensors, description["multi_label"] = label_tensors(rows, len(description["class_names"]))
    join_shards(options.out, shards, tensors, description)
    dims = look_at(shards)
    folder.remove()
    log.info("wrote %s: features of %d dimensions", options.out, dims)


if __name__ == "__main__":
    run_step(main)
