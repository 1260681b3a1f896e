"""What the steps on annotated pictures share: flags, the key of a fit, what they leave behind."""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torchvision

from scripts.evaluate.dense.pictures import Listed, read_listed
from scripts.evaluate.items import TEST, TRAIN
from scripts.evaluate.protocol import write_results
from scripts.evaluate.scores import Result
from scripts.evaluate.settings_annotated import AnnotatedBase
from scripts.evaluate.settings_finetuned import FinetuneDetectorSettings, FinetuneSegmenterSettings
from scripts.lib.checkpoints import remove_checkpoints
from scripts.lib.files import sha256_file, write_csv
from scripts.lib.fingerprint import code_hash
from scripts.lib.flags import input_file, output_file, outside_data
from scripts.lib.recipe import canonical_json
from scripts.lib.step import step_parser

log = logging.getLogger(__name__)
LOSS_COLUMNS = ("step", "learning_rate", "loss")
MACHINE = ("tasks", "encoders", "seeds", "devices", "checkpoint_every_steps")  # what a result does not depend on


DenseSettings = FinetuneDetectorSettings | FinetuneSegmenterSettings


@dataclass(frozen=True)
class Job:
    """One encoder fine-tuned on one set with one seed."""

    run: str
    encoder: str  # path
    pictures: str  # path of the table
    facts: Mapping[str, Any]
    paths: tuple[str, ...]
    threads: int
    out: str
    losses: str
    recipe_text: str

    @property
    def folder(self) -> Path:
        """Return where the checkpoints lie: beside the results, undeclared."""
        return Path(f"{self.out}.state")


def dense_parser(description: str | None, settings: str) -> argparse.ArgumentParser:
    """Return a parser of the flags of a job."""
    parser = step_parser(description)
    parser.add_argument("--recipe", required=True, help=f"JSON of {settings}")
    parser.add_argument("--run", required=True, help="name of the encoder")
    parser.add_argument("--encoder", required=True, type=input_file, help="weights of the encoder")
    parser.add_argument("--pictures", required=True, type=input_file, help="table of `list_annotations` (Parquet)")
    parser.add_argument("--facts", required=True, type=input_file, help="facts of `list_annotations` (JSON)")
    parser.add_argument(
        "--paths", nargs="*", default=[], type=outside_data, help="values of the task's path keys, in order"
    )
    parser.add_argument("--devices", type=int, default=1, help="processes that share each batch")
    parser.add_argument("--threads", required=True, type=int, help="CPU threads of all processes together")
    parser.add_argument("--out", required=True, type=output_file, help="rows of results (CSV)")
    parser.add_argument("--losses", required=True, type=output_file, help="learning rate and loss of each step (CSV)")
    return parser


def job_of(options: argparse.Namespace) -> Job:
    """Return the job that the flags describe."""
    return Job(
        run=options.run,
        encoder=options.encoder,
        pictures=options.pictures,
        facts=json.loads(Path(options.facts).read_text(encoding="utf-8")),
        paths=tuple(options.paths),
        threads=options.threads,
        out=options.out,
        losses=options.losses,
        recipe_text=options.recipe,
    )


def job_key(job: Job, step: str, kind: str, encoder: str) -> str:
    """Return what a checkpoint must carry to be continued from: a SHA-256 of recipe, code, data and torch."""
    family = encoder.rstrip("0123456789")
    facts = {
        "recipe": job.recipe_text,
        "code": code_hash(
            f"scripts.evaluate.{step}", f"scripts.evaluate.annotations.{kind}", f"scripts.lib.architectures.{family}"
        ),
        "inputs": input_hashes(job),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
    }
    return hashlib.sha256(canonical_json(facts).encode()).hexdigest()


def input_hashes(job: Job) -> dict[str, Any]:
    """Return what the results rest on."""
    return {"encoder_sha256": sha256_file(job.encoder), "pictures_sha256": sha256_file(job.pictures)}


def splits_of(job: Job) -> dict[str, list[Listed]]:
    """Return the pictures of each split."""
    listed = read_listed(job.pictures)
    return {split: [each for each in listed if each.split == split] for split in (TRAIN, TEST)}


def folders_of(job: Job, task: AnnotatedBase, kind: str) -> dict[str, Path]:
    """Return where the pictures of each split lie."""
    found: dict[str, Path] = importlib.import_module(f"scripts.evaluate.annotations.{kind}").folders(task, job.paths)
    return found


def finish(
    job: Job,
    settings: DenseSettings,
    values: Mapping[str, tuple[float, float]],
    history: Sequence[tuple[float, float]],
    more: Mapping[str, Any],
) -> None:
    """Write results and losses, and remove the checkpoints.

    Args:
        job: whose they are.
        settings: of the step.
        values: metric → (value, chance), in per cent.
        history: rate and loss of each step.
        more: what else the settings of a row say; `test_images` is its `n`.
    """
    described = {**settings.recipe.model_dump(mode="json", exclude=set(MACHINE)), **more}
    what, images = (job.run, settings.task.name, settings.recipe.name), more["test_images"]
    inputs = input_hashes(job)
    rows = [
        Result(*what, metric, value, images, chance, settings.seed, settings=described, inputs=inputs).row()
        for metric, (value, chance) in values.items()
    ]
    rates = ((step, f"{rate:.6g}", f"{loss:.6g}") for step, (rate, loss) in enumerate(history))
    write_csv(job.losses, LOSS_COLUMNS, rates)
    write_results(job.out, rows)
    tenth = max(1, len(history) // 10)
    first, last = (sum(loss for _, loss in part) / tenth for part in (history[:tenth], history[-tenth:]))
    log.info("loss %.3f in the first tenth of the steps, %.3f in the last; wrote %s", first, last, job.out)
    remove_checkpoints(job.folder)
    if job.folder.is_dir() and not any(job.folder.iterdir()):
        job.folder.rmdir()
