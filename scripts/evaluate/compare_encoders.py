"""Say for each pair of encoders by how much one is more often right, with an interval that pairs the test images.

Paired bootstrap (Efron & Tibshirani 1993): test images are drawn with replacement, each with both encoders' answers;
the interval is the middle 95 % of the drawn differences. Answers of several seeds are averaged for each image first, so
the interval speaks of these fits on other test images, not of other pretraining runs.
"""

from __future__ import annotations

import itertools
import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from scripts.evaluate.settings_protocols import ComparisonSettings
from scripts.lib.draws import generator
from scripts.lib.errors import UserError
from scripts.lib.files import write_csv
from scripts.lib.flags import input_file, output_file
from scripts.lib.recipe import canonical_json, read_recipe
from scripts.lib.step import run_step, step_parser
from scripts.lib.tables import COMPARISON_COLUMNS, PREDICTIONS

log = logging.getLogger(__name__)

METRIC = "top1"
Means = npt.NDArray[np.float64]  # [m], share of the seeds that are right on each test image


def paired_interval(differences: Means, draws: int, random: np.random.Generator) -> tuple[float, float]:
    """Return the 95 % percentile interval of the mean difference under resampling of images.

    Drawing m images with replacement draws the counts of the distinct differences from a multinomial distribution:
    the same distribution, for a few numbers instead of m.
    """
    values, counts = np.unique(np.round(differences, 12), return_counts=True)
    drawn = random.multinomial(len(differences), counts / len(differences), size=draws)  # [draws, v]
    low, high = np.quantile(drawn @ values / len(differences), [0.025, 0.975])
    return float(low), float(high)


def read_means(paths: Iterable[str | Path]) -> dict[tuple[str, str], dict[str, tuple[str, int, Means]]]:
    """Return (task, protocol) → run → (labelled set, seeds, share of the seeds that are right on each test image)."""
    answers: defaultdict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for path in paths:
        for row in pq.read_table(path, schema=PREDICTIONS, columns=["run", "task", "protocol", "inputs", "right"]).to_pylist():  # fmt: skip  # noqa: E501
            answers[row["task"], row["protocol"], row["run"]].append(row)
    found: defaultdict[tuple[str, str], dict[str, tuple[str, int, Means]]] = defaultdict(dict)
    for (task, protocol, run), rows in sorted(answers.items()):
        means = np.mean([np.asarray(row["right"], dtype=np.float64) for row in rows], axis=0)
        found[task, protocol][run] = (rows[0]["inputs"], len(rows), means)
    return dict(found)


def compare(
    groups: Mapping[tuple[str, str], Mapping[str, tuple[str, int, Means]]], settings: ComparisonSettings
) -> list[tuple[str, ...]]:
    """Return a row of `COMPARISON_COLUMNS` for each pair of runs, runs in alphabetical order.

    Raises:
        UserError: two encoders answered for different labelled sets.
    """
    rows = []
    for (task, protocol), runs in groups.items():
        for one, other in itertools.combinations(sorted(runs), 2):
            (inputs, seeds, own), (other_inputs, _, others) = runs[one], runs[other]
            if _items(inputs) != _items(other_inputs) or len(own) != len(others):
                raise UserError(
                    f"{one} and {other} were scored on different images of the task {task} under {protocol}; run "
                    "embed again for both"
                )
            differences = own - others
            random = generator(settings.seed, "paired bootstrap", task, protocol, one, other)
            low, high = paired_interval(differences, settings.draws, random)
            figures = (f"{100 * each:.4f}" for each in (float(differences.mean()), low, high))
            facts = (len(own), seeds, settings.draws, settings.seed)
            rows.append((task, protocol, METRIC, one, other, *figures, *map(str, facts)))
    return rows


def _items(inputs: str) -> str:
    return canonical_json(json.loads(inputs).get("items_sha256"))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="JSON of ComparisonSettings")
    parser.add_argument("--predictions", nargs="*", default=[], type=input_file, help="answers of protocols (Parquet)")
    parser.add_argument("--out", required=True, type=output_file, help="differences of pairs of encoders (CSV)")
    options = parser.parse_args(argv)
    settings = read_recipe(ComparisonSettings, options.recipe)
    paths = [path for path in options.predictions if path]
    rows = compare(read_means(paths), settings)
    write_csv(options.out, COMPARISON_COLUMNS, rows)
    clear = sum(float(row[6]) > 0 or float(row[7]) < 0 for row in rows)
    log.info("%d tables, %d pairs, %d with an interval without 0, wrote %s", len(paths), len(rows), clear, options.out)


if __name__ == "__main__":
    run_step(main)
