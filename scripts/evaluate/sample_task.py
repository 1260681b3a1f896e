"""Cut a seeded sample of a labelled set's train images to what an encoder is shown, for pretraining to watch itself on.

Train images only: whatever a person decides while looking at the curve of a run, the test split had no part in it.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scripts.evaluate.items import TRAIN, Item, Reader
from scripts.evaluate.list_task import balanced_part
from scripts.evaluate.settings import SampleTaskSettings
from scripts.evaluate.views import ahead, load_pixels
from scripts.lib.draws import rank
from scripts.lib.errors import UserError
from scripts.lib.flags import input_file, output_file, outside_data
from scripts.lib.images import Pixels, centre_view
from scripts.lib.labelled_sample import LabelledSample, write_sample
from scripts.lib.recipe import read_recipe
from scripts.lib.step import run_step, step_parser
from scripts.lib.tables import TASK_ITEMS

log = logging.getLogger(__name__)

DEPTH = 64  # images decoded ahead


def choose_items(table: pa.Table, settings: SampleTaskSettings) -> list[Item]:
    """Return the items of the sample, sorted by (class, name): what a smaller one holds, a larger one holds too.

    Raises:
        UserError: an image has several labels, so that "the right class of the nearest images" means nothing.
    """
    task = settings.task
    rows = [row for row in table.to_pylist() if row["split"] == TRAIN]
    if any(row["accepted"] != [row["label"]] for row in rows):
        raise UserError(
            f"the images of the task {task.name} have several labels each, and pretraining counts one right answer for "
            "an image; name another task in pretrain.monitor.task, or null"
        )
    names = sorted({row["class_name"] for row in rows}, key=lambda name: rank(task.seed, "sample task class", name))
    chosen = set(names[: settings.classes])
    items = [Item(row["split"], row["name"], row["class_name"], row["offset"], row["size"]) for row in rows]
    part = balanced_part([item for item in items if item.class_name in chosen], settings.images, task.seed)
    return sorted(part, key=lambda item: (item.class_name, item.name))


def sample_task(table: pa.Table, settings: SampleTaskSettings, reader: Reader, threads: int) -> LabelledSample:
    """Return the sample; labels count the chosen classes in the order of their names."""
    task, items = settings.task, choose_items(table, settings)
    names = sorted({item.class_name for item in items})
    if len(names) < 2 or len(items) < 2 * len(names):
        raise UserError(
            f"a sample of {len(items)} images of {len(names)} classes of the task {task.name} tells nothing: at least "
            "two classes with two images each are needed; raise pretrain.monitor.images or lower its classes"
        )

    def view(item: Item) -> Pixels:
        return centre_view(load_pixels(item, reader, task), task.resize, task.crop)

    pixels = np.stack(list(ahead(view, items, threads, DEPTH)))
    labels = np.array([names.index(item.class_name) for item in items], dtype=np.int64)
    return LabelledSample(task.name, pixels, labels, len(names))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="JSON of SampleTaskSettings")
    parser.add_argument("--items", required=True, type=input_file, help="table of `list_task`")
    parser.add_argument(
        "--paths", nargs="*", default=[], type=outside_data, help="values of the task's path keys, in order"
    )
    parser.add_argument("--threads", required=True, type=int, help="threads that decode images")
    parser.add_argument("--out", required=True, type=output_file, help="pixels and labels (safetensors)")
    options = parser.parse_args(argv)
    settings = read_recipe(SampleTaskSettings, options.recipe)
    kind = importlib.import_module(f"scripts.evaluate.tasks.{settings.task.kind}")
    reader: Reader = kind.open_reader(settings.task, options.paths)
    table = pq.read_table(options.items, schema=TASK_ITEMS)
    sample = sample_task(table, settings, reader, options.threads)
    write_sample(options.out, sample)
    log.info(
        "%d train images of %d classes of the task %s, %d x %d pixels; wrote %s",
        *(len(sample.pixels), sample.classes, sample.task, *sample.pixels.shape[1:3], options.out),
    )


if __name__ == "__main__":
    run_step(main)
