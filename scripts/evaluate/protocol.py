"""What the `main` of every frozen protocol shares: features in, rows of results out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

import torch

from scripts.evaluate.features import Features, load_features
from scripts.lib.files import write_csv
from scripts.lib.recipe import SettingsType, read_recipe
from scripts.lib.step import step_parser
from scripts.lib.tables import RESULT_COLUMNS

log = logging.getLogger(__name__)

Row = tuple[str, ...]  # of RESULT_COLUMNS


def run_protocol(
    argv: Sequence[str] | None,
    description: str | None,
    settings_kind: type[SettingsType],
    rows_of: Callable[[Features, SettingsType, str, str], list[Row]],
) -> None:
    """Parse the flags of a protocol, load the features, write the rows of `rows_of(features, settings, run, task)`."""
    parser = step_parser(description)
    parser.add_argument("--recipe", required=True, help=f"JSON of {settings_kind.__name__}")
    parser.add_argument("--run", required=True, help="name of the encoder")
    parser.add_argument("--task", required=True, help="name of the task")
    parser.add_argument("--features", required=True, help="features of `embed`")
    parser.add_argument("--threads", required=True, type=int, help="CPU threads")
    parser.add_argument("--out", required=True, help="rows of results (CSV)")
    options = parser.parse_args(argv)
    settings = read_recipe(settings_kind, options.recipe)
    torch.set_num_threads(options.threads)
    features = load_features(options.features)
    log.info("%d train and %d test features", len(features.train_labels), len(features.test_labels))
    start = time.monotonic()
    rows = rows_of(features, settings, options.run, options.task)
    for row in rows:
        log.info("%s seed %s, %s: %s (chance %s)", row[2], row[6] or "-", row[3], row[4], row[7])
    write_csv(options.out, RESULT_COLUMNS, rows)
    log.info("wrote %s after %.1f s", options.out, time.monotonic() - start)
