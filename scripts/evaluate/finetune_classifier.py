"""Train an encoder and a linear layer together on a part of the train split: semi-supervised, or a full transfer.

OFFICIAL SwAV `eval_semisup.py`, and ssl-transfer's `finetune.py` (Ericsson et al. 2021). The part is drawn by rank in
each class. Where a recipe has several rates, one is chosen on a held-out part of the part and all of it is trained
again; the last step counts, and the test split is looked at once.
"""

from __future__ import annotations

import hashlib
import importlib
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from scripts.evaluate.classifier_fit import Labelled, Trainer, draw_part
from scripts.evaluate.dense.loop import Place
from scripts.evaluate.features import best_device
from scripts.evaluate.items import TEST, TRAIN, Item, Reader
from scripts.evaluate.preprocess import as_shown
from scripts.evaluate.protocol import prediction_row, write_results
from scripts.evaluate.scores import result_rows
from scripts.evaluate.settings import FinetuneClassifierSettings
from scripts.lib.encoder_names import family_of
from scripts.lib.encoders import load_encoder
from scripts.lib.errors import UserError
from scripts.lib.files import sha256_file, table_of, write_table
from scripts.lib.fingerprint import code_hash
from scripts.lib.flags import input_file, output_file, outside_data
from scripts.lib.recipe import canonical_json, read_recipe
from scripts.lib.step import run_step, step_parser
from scripts.lib.tables import PREDICTIONS, TASK_ITEMS

log = logging.getLogger(__name__)
ELSEWHERE = {"tasks", "encoders", "seeds", "checkpoint_every_steps"}  # what a result does not depend on


def splits_of(table: pa.Table, task: str) -> dict[str, Labelled]:
    """Return the images of each split.

    Raises:
        UserError: an image has several labels.
    """
    rows = table.to_pylist()
    if any(row["accepted"] != [row["label"]] for row in rows if row["split"] == TRAIN):
        raise UserError(
            f"the images of the task {task} have several labels, and fine-tuning a classifier knows one for each; name "
            "the tasks that it is for under `tasks` of the recipe (evaluate.finetuned.classifiers)"
        )
    found = {}
    for split in (TRAIN, TEST):
        own = [row for row in rows if row["split"] == split]
        items = [Item(split, row["name"], row["class_name"], row["offset"], row["size"]) for row in own]
        found[split] = Labelled(items, np.array([row["label"] for row in own], dtype=np.int64))
    return found


def fit_key(recipe: str, kind: str, encoder: str, inputs: dict[str, Any]) -> str:
    """Return what a checkpoint must carry to be continued from: a SHA-256 of recipe, code, data and torch."""
    code = code_hash(
        "scripts.evaluate.finetune_classifier",
        f"scripts.evaluate.tasks.{kind}",
        f"scripts.lib.architectures.{family_of(encoder)}",
    )
    facts = {"recipe": recipe, "code": code, "inputs": inputs, "torch": torch.__version__}
    return hashlib.sha256(canonical_json(facts).encode()).hexdigest()


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="JSON of FinetuneClassifierSettings")
    parser.add_argument("--run", required=True, help="name of the encoder")
    parser.add_argument("--encoder", required=True, type=input_file, help="weights of the encoder")
    parser.add_argument("--items", required=True, type=input_file, help="table of `list_task`")
    parser.add_argument(
        "--paths", nargs="*", default=[], type=outside_data, help="values of the task's path keys, in order"
    )
    parser.add_argument("--threads", required=True, type=int, help="CPU threads")
    parser.add_argument("--out", required=True, type=output_file, help="rows of results (CSV)")
    parser.add_argument(
        "--predictions", required=True, type=output_file, help="what was answered for each test image (Parquet)"
    )
    options = parser.parse_args(argv)
    settings = read_recipe(FinetuneClassifierSettings, options.recipe)
    recipe, task = settings.recipe, settings.task
    torch.set_num_threads(options.threads)
    splits = splits_of(pq.read_table(options.items, schema=TASK_ITEMS), task.name)
    part = draw_part(splits[TRAIN], recipe.share, settings.seed)
    log.info(
        "%d of %d train images, %d test images", *(len(each.items) for each in (part, splits[TRAIN], splits[TEST]))
    )
    kind = importlib.import_module(f"scripts.evaluate.tasks.{task.kind}")
    reader: Reader = kind.open_reader(task, options.paths)
    description = load_encoder(options.encoder)[1]
    task, noted = as_shown(task, settings.preprocess, description)
    settings = settings.model_copy(update={"task": task})
    inputs = {"encoder_sha256": sha256_file(options.encoder), "items_sha256": sha256_file(options.items), **noted}
    folder = Path(f"{options.out}.state")
    key = fit_key(options.recipe, task.kind, description["encoder"], inputs)
    place = Place(folder, key, options.threads, best_device())
    classes = 1 + int(max(splits[TRAIN].labels))
    trainer = Trainer(settings, reader, options.encoder, classes, place)
    pair, chosen = trainer.choose(part)
    answers = trainer.answers(trainer.fit(part, pair, "all"), splits[TEST])
    what, truth = (options.run, task.name, recipe.name, str(settings.seed)), splits[TEST].labels
    described: dict[str, Any] = {**recipe.model_dump(mode="json", exclude=ELSEWHERE), "train_images": len(part.items)}
    if chosen:
        described |= {"chosen": {"rate": pair.rate, "weight_decay": pair.decay}, "tried": chosen["tried"]}
    shown = {**inputs, "resize": task.resize, "crop": task.crop}
    rows = result_rows(
        what, answers, truth, part.labels,
        settings=described, inputs=shown, selected_on=chosen.get("selected_on", ""),
    )  # fmt: skip
    predicted = prediction_row(what, answers, answers == truth, shown)
    write_table(options.predictions, table_of([predicted], PREDICTIONS))
    write_results(options.out, list(rows))
    shutil.rmtree(folder, ignore_errors=True)  # checkpoints and what was tried: the job is complete
    log.info("wrote %s and %s", options.out, options.predictions)


if __name__ == "__main__":
    run_step(main)
