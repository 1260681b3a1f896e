"""Train one encoder without labels, from its checkpoint when an earlier attempt was interrupted.

The result depends on recipe, code, images, torch and machine, and on nothing else: not on the number of loader
processes and not on interruptions.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import logging
import os
import re
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import torchvision

from scripts.lib.checkpoints import LAST, remove_checkpoints
from scripts.lib.encoder_names import family_of
from scripts.lib.encoders import IMAGENET_MEAN, IMAGENET_STD, save_encoder
from scripts.lib.errors import UserError
from scripts.lib.files import remove_leftovers
from scripts.lib.fingerprint import code_hash
from scripts.lib.flags import input_file, optional_input, output_file, varying_file
from scripts.lib.heads import save_head
from scripts.lib.lock import held
from scripts.lib.recipe import canonical_json, read_recipe
from scripts.lib.step import log_to_file, run_step, step_parser
from scripts.pretrain.contract import Method
from scripts.pretrain.cost import Cost, device_name
from scripts.pretrain.engine import check_images, train_method
from scripts.pretrain.machine import launched_rank, place_of
from scripts.pretrain.metrics import Metrics
from scripts.pretrain.monitor import Monitor
from scripts.pretrain.monitor_images import monitor_sample
from scripts.pretrain.records import Records
from scripts.pretrain.run_base import SHARDS, RunBase
from scripts.pretrain.settings_monitor import MonitorSettings
from scripts.pretrain.shard_images import ImageList, list_image_set, list_images
from scripts.pretrain.trace import Trace
from scripts.pretrain.view_sheet import write_views

LOG = logging.getLogger(__name__)
KEEP = "UNPEOPLED_KEEP_CHECKPOINTS"  # n: that of each n-th epoch stays, for `python -m scripts.audit.segment`


def kept_epochs() -> int:
    """Return every how many epochs a checkpoint stays, 0 for never.

    Raises:
        UserError: the environment says something else than a number.
    """
    text = os.environ.get(KEEP) or "0"
    if not text.isdigit():
        raise UserError(f"{KEEP}={text} in the environment is no number of epochs, such as 10: correct or unset it")
    return int(text)


def load_run(recipe: str) -> tuple[Any, ModuleType]:
    """Return the settings of a run and the module of its method.

    The module brings the settings' shape, so that the fingerprint of one method's run does not cover another method's
    settings.

    Raises:
        UserError: the recipe names no method that exists, or does not fit it.
    """
    try:
        name = json.loads(recipe)["run"]["method"]
        if re.fullmatch(r"[a-z][a-z0-9_]*", name) is None:
            raise ValueError(name)
        module = importlib.import_module(f"scripts.pretrain.methods.{name}")
    except (ValueError, KeyError, TypeError, ModuleNotFoundError) as error:
        raise UserError(
            f"--recipe names no method of scripts/pretrain/methods under run.method ({error!r}); copy the command that "
            "snakemake -p prints"
        ) from None
    return read_recipe(module.Recipe, recipe).run, module


def open_images(run: RunBase, shards: Sequence[Path], indexes: Sequence[Path], root: str) -> ImageList:
    """Return the images that `run.images` names.

    Raises:
        UserError: they are not there, or the flags are those of the other kind.
    """
    if run.images == SHARDS and not root:
        return list_images(shards, indexes)
    if run.images == SHARDS or not root or len(indexes) != 1 or shards:
        raise UserError(
            f"run {run.name} trains on {run.images}: shards need --shards and --indexes, an image set needs --root and "
            "its one index under --indexes; copy the command that snakemake -p prints"
        )
    return list_image_set(run.images, Path(root), indexes[0])


def run_key(recipe: str, run: Any, images: ImageList, monitor: str = "") -> str:
    """Return what a checkpoint must carry to be continued: a SHA-256 of recipe, code, images, monitor and torch."""
    facts = {
        "recipe": recipe,
        "code": code_hash(
            "scripts.pretrain.train",
            f"scripts.pretrain.methods.{run.method}",
            f"scripts.pretrain.backends.{run.augmentation_backend}",
            f"scripts.lib.architectures.{family_of(run.encoder)}",
        ),
        "images": images.digest,
        "monitor": monitor,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
    }
    return hashlib.sha256(canonical_json(facts).encode()).hexdigest()


def open_monitor(recipe: str, sample: str, run: RunBase, images: ImageList) -> Monitor:
    """Return the monitor of a run; without a recipe it never looks.

    Raises:
        UserError: the recipe names a task and no sample of one is given, or the other way round.
    """
    if not recipe:
        return Monitor(None, None)
    settings = read_recipe(MonitorSettings, recipe)
    if (settings.task is None) == bool(sample):
        raise UserError(
            f"--monitor-recipe names the task {settings.task} and --monitor-sample is {sample!r}; give the file that "
            "`sample_task` wrote for that task, and none where the task is null"
        )
    return Monitor(settings, monitor_sample(settings, run, images, Path(sample) if sample else None))


def describe_encoder(run: Any, images: ImageList, epochs: int) -> dict[str, Any]:
    """Return what an encoder's file says about itself."""
    return {
        "encoder": run.encoder,
        "method": run.method,
        "run": run.name,
        "mean": list(IMAGENET_MEAN),
        "std": list(IMAGENET_STD),
        "image_size": run.image_size,
        "interpolation": run.interpolation,
        "epochs": epochs,
        "images": len(images),
        "images_of": run.images,
        "images_digest": images.digest,
    }


def train_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="TrainSettings as JSON")
    parser.add_argument("--shards", nargs="*", default=[], type=input_file)
    parser.add_argument(
        "--indexes", nargs="*", default=[], type=input_file, help="of the shards, or of the image set alone"
    )
    parser.add_argument("--root", default="", help="the folder of the run's image set; empty: the shards")
    parser.add_argument(
        "--threads", required=True, type=int, help="of what this starts: each device has one, its loaders more"
    )
    parser.add_argument("--devices", default=1, type=int, help="GPUs of a node; one process each")
    parser.add_argument("--nodes", default=1, type=int, help="more than one: start it by srun or torchrun")
    parser.add_argument("--accelerator", default="auto", choices=["auto", "cpu"], help="auto: GPUs where there are any")
    parser.add_argument("--stop-after", default=0, type=int, help="stop after so many steps, for an audit; 0: never")
    parser.add_argument("--encoder", required=True, type=output_file)
    parser.add_argument("--untrained", required=True, type=output_file, help="the encoder before the first step")
    parser.add_argument("--head", required=True, type=output_file, help="the projection head, for figures after it")
    parser.add_argument("--cost", required=True, type=varying_file, help="what the run took (JSON)")
    parser.add_argument("--metrics", required=True, type=output_file)
    parser.add_argument("--trace", required=True, type=output_file, help="digests of images, weights and optimiser")
    parser.add_argument("--monitor-recipe", default="", help="MonitorSettings as JSON; empty = the run is not watched")
    parser.add_argument(
        "--monitor-sample",
        default="",
        type=optional_input,
        help="what sample_task wrote, where the monitor names a task",
    )
    parser.add_argument("--monitor", required=True, type=output_file, help="table of what the monitor saw")
    parser.add_argument("--views", required=True, type=output_file, help="picture of one batch's views")
    parser.add_argument("--watch-folder", type=Path, help="for speed.csv and TensorBoard's files")
    parser.add_argument("--log", type=Path, help="also write the log to this file; the terminal keeps its bar")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Parse flags, read the indexes, train, write both encoders, the head and the run's records."""
    flags = train_parser().parse_args(argv)
    if launched_rank(os.environ) > 0:
        logging.getLogger().setLevel(logging.WARNING)  # one process speaks for all
    elif flags.log is not None:
        log_to_file(flags.log)
    run, module = load_run(flags.recipe)
    images = open_images(run, flags.shards, flags.indexes, flags.root)
    check_images(run, len(images))
    monitor = open_monitor(flags.monitor_recipe, flags.monitor_sample, run, images)
    names = ("threads", "devices", "nodes", "accelerator", "watch_folder", "stop_after")
    machine = {name: getattr(flags, name) for name in names} | {"keep_every": kept_epochs()}
    place = place_of(run, flags.encoder.parent, run_key(flags.recipe, run, images, monitor.key), **machine)
    first = place.rank == 0  # which alone writes
    LOG.info(
        "run %s: %s, %s, %d images, %d epochs of %d steps of %d images; %s",
        run.name, run.method, run.encoder, len(images), run.epochs, len(images) // run.batch_size, run.batch_size,
        place.machine,
    )  # fmt: skip
    with held(place.folder / ".lock", f"training run {run.name}") if first else nullcontext():
        method: Method = module.build_method(run)
        described = partial(describe_encoder, run, images)
        steps = len(images) // run.batch_size * run.epochs
        records = Records(
            metrics=Metrics(method.metric_names, steps),
            monitor=monitor,
            trace=Trace(run, images),
            cost=Cost(device_name(place.process_threads, gpu=place.accelerator == "gpu"), place.world),
        )
        if first:
            remove_leftovers(place.folder / LAST)
            save_encoder(flags.untrained, method.encoder(), described(epochs=0))
            write_views(flags.views, run, method, images)
        train_method(run, method, images, place, records)
        if first:
            records.metrics.write(flags.metrics)
            records.monitor.write(flags.monitor)
            records.trace.write(flags.trace)
            records.cost.write(flags.cost, steps * run.batch_size)
            save_encoder(flags.encoder, method.encoder(), described(epochs=run.epochs))
            save_head(flags.head, method.projection_head(), described(epochs=run.epochs))
            remove_checkpoints(place.folder)
            LOG.info("wrote %s", flags.encoder)


if __name__ == "__main__":
    run_step(main)
