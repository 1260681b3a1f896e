"""Train one encoder without labels on the shards, from its checkpoint when an earlier attempt was interrupted.

The result depends on recipe, code, images, torch and machine, and on nothing else: not on the number of loader
processes and not on interruptions.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import torchvision

from scripts.lib.checkpoints import remove_checkpoints
from scripts.lib.encoder_names import family_of
from scripts.lib.encoders import IMAGENET_MEAN, IMAGENET_STD, save_encoder
from scripts.lib.errors import UserError
from scripts.lib.fingerprint import code_hash
from scripts.lib.recipe import canonical_json, read_recipe
from scripts.lib.step import log_to_file, run_step, step_parser
from scripts.pretrain.contract import Method
from scripts.pretrain.engine import Place, check_images, train_method
from scripts.pretrain.run_base import RunBase
from scripts.pretrain.shard_images import ImageList, list_images

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


def describe_encoder(run: RunBase, method: str, image_size: int, images: int, epochs: int) -> dict[str, Any]:
    """Return what an encoder's file says about itself."""
    return {
        "encoder": run.encoder,
        "method": method,
        "run": run.name,
        "mean": list(IMAGENET_MEAN),
        "std": list(IMAGENET_STD),
        "image_size": image_size,
        "epochs": epochs,
        "images": images,
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Parse flags, read the indexes, train, write both encoders and the metrics."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="TrainSettings as JSON")
    parser.add_argument("--shards", nargs="*", default=[], type=Path)
    parser.add_argument("--indexes", nargs="*", default=[], type=Path)
    parser.add_argument("--threads", required=True, type=int, help="threads of torch; one less loader processes")
    parser.add_argument("--encoder", required=True, type=Path)
    parser.add_argument("--untrained", required=True, type=Path, help="the encoder before the first step")
    parser.add_argument("--metrics", required=True, type=Path)
    parser.add_argument("--log", type=Path, help="also write the log to this file; the terminal keeps its bar")
    flags = parser.parse_args(argv)
    if flags.log is not None:
        log_to_file(flags.log)
    run, module = load_run(flags.recipe)

    images = list_images(flags.shards, flags.indexes)
    check_images(run, len(images))
    LOG.info(
        "run %s: %s, %s, %d images, %d epochs of %d steps of %d images",
        run.name, run.method, run.encoder, len(images), run.epochs, len(images) // run.batch_size, run.batch_size,
    )  # fmt: skip
    method: Method = module.build_method(run)
    size = run.image_size
    save_encoder(flags.untrained, method.encoder(), describe_encoder(run, run.method, size, len(images), epochs=0))

    place = Place(flags.encoder.parent, run_key(flags.recipe, run, images), flags.threads)
    metrics = train_method(run, method, images, place)
    metrics.write(flags.metrics)
    save_encoder(flags.encoder, method.encoder(), describe_encoder(run, run.method, size, len(images), run.epochs))
    remove_checkpoints(place.folder)
    LOG.info("wrote %s", flags.encoder)


if __name__ == "__main__":
    run_step(main)
