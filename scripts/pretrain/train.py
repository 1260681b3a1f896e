"""Train one encoder without labels, from its checkpoint when an earlier attempt was interrupted.

The result depends on recipe, code, images, torch and machine, and on nothing else: not on the number of loader
processes and not on interruptions.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import torchvision

from scripts.lib.encoder_names import family_of
from scripts.lib.encoders import IMAGENET_MEAN, IMAGENET_STD, save_encoder
from scripts.lib.errors import UserError
from scripts.lib.fingerprint import code_hash
from scripts.lib.heads import save_head
from scripts.lib.recipe import canonical_json, read_recipe
from scripts.lib.step import log_to_file, run_step, step_parser
from scripts.pretrain.checkpoints import remove_checkpoints
from scripts.pretrain.contract import Method
from scripts.pretrain.cost import Cost, device_name
from scripts.pretrain.engine import check_images, train_method
from scripts.pretrain.machine import launched_rank, place_of
from scripts.pretrain.run_base import SHARDS, RunBase
from scripts.pretrain.shard_images import ImageList, list_image_set, list_images

LOG = logging.getLogger(__name__)


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


def run_key(recipe: str, run: Any, images: ImageList) -> str:
    """Return what a checkpoint must carry to be continued from: a SHA-256 of recipe, code, images and torch."""
    facts = {
        "recipe": recipe,
        "code": code_hash(
            "scripts.pretrain.train",
            f"scripts.pretrain.methods.{run.method}",
            f"scripts.pretrain.backends.{run.augmentation_backend}",
            f"scripts.lib.architectures.{family_of(run.encoder)}",
        ),
        "images": images.digest,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
    }
    return hashlib.sha256(canonical_json(facts).encode()).hexdigest()


def describe_encoder(run: RunBase, method: str, image_size: int, images: ImageList, epochs: int) -> dict[str, Any]:
    """Return what an encoder's file says about itself."""
    return {
        "encoder": run.encoder,
        "method": method,
        "run": run.name,
        "mean": list(IMAGENET_MEAN),
        "std": list(IMAGENET_STD),
        "image_size": image_size,
        "epochs": epochs,
        "images": len(images),
        "images_of": run.images,
        "images_digest": images.digest,
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Parse flags, read the indexes, train, write both encoders, the head, metrics and cost."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="TrainSettings as JSON")
    parser.add_argument("--shards", nargs="*", default=[], type=Path)
    parser.add_argument("--indexes", nargs="*", default=[], type=Path, help="of the shards, or of the image set alone")
    parser.add_argument("--root", default="", help="the folder of the run's image set; empty: the shards")
    parser.add_argument("--threads", required=True, type=int, help="of a node: a device has one, its loaders the rest")
    parser.add_argument("--devices", default=1, type=int, help="GPUs of a node; one process each")
    parser.add_argument("--nodes", default=1, type=int, help="more than one: start it by srun or torchrun")
    parser.add_argument("--accelerator", default="auto", choices=["auto", "cpu"], help="auto: GPUs where there are any")
    parser.add_argument("--encoder", required=True, type=Path)
    parser.add_argument("--untrained", required=True, type=Path, help="the encoder before the first step")
    parser.add_argument("--head", required=True, type=Path, help="the projection head, for figures after it")
    parser.add_argument("--metrics", required=True, type=Path)
    parser.add_argument("--cost", required=True, type=Path, help="what the run took (JSON)")
    parser.add_argument("--log", type=Path, help="also write the log to this file; the terminal keeps its bar")
    flags = parser.parse_args(argv)
    if launched_rank(os.environ) > 0:
        logging.getLogger().setLevel(logging.WARNING)  # one process speaks for all
    elif flags.log is not None:
        log_to_file(flags.log)
    run, module = load_run(flags.recipe)
    images = open_images(run, flags.shards, flags.indexes, flags.root)
    check_images(run, len(images))
    machine = {name: getattr(flags, name) for name in ("threads", "devices", "nodes", "accelerator")}
    place = place_of(run, flags.encoder.parent, run_key(flags.recipe, run, images), **machine)
    first = place.rank == 0  # which alone writes
    LOG.info(
        "run %s: %s, %s, %d images, %d epochs of %d steps of %d images; %s",
        run.name, run.method, run.encoder, len(images), run.epochs, len(images) // run.batch_size, run.batch_size,
        place.machine,
    )  # fmt: skip
    method: Method = module.build_method(run)
    size = run.image_size
    if first:
        save_encoder(flags.untrained, method.encoder(), describe_encoder(run, run.method, size, images, epochs=0))
    cost = Cost(device_name(place.process_threads, gpu=place.accelerator == "gpu"), place.world)
    metrics = train_method(run, method, images, place, cost)
    if first:
        metrics.write(flags.metrics)
        about = describe_encoder(run, run.method, size, images, run.epochs)
        save_encoder(flags.encoder, method.encoder(), about)
        save_head(flags.head, method.projection_head(), about)
        cost.write(flags.cost, run.epochs * (len(images) // run.batch_size) * run.batch_size)
        remove_checkpoints(place.folder)
        LOG.info("wrote %s", flags.encoder)


if __name__ == "__main__":
    run_step(main)
