"""Classify with a few train images of each class, several draws: a ridge classifier without anything to choose.

Closed form as in big_vision's `fewshot_lsr.py`: rows standardised by the mean and deviation of the drawn images, a
constant feature for the bias, targets 1 and -1, penalty lambda. One row of results for each draw, which is its seed;
a larger draw holds the smaller ones of the same seed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from scripts.evaluate.features import Array
from scripts.evaluate.holdout import draw_shots
from scripts.evaluate.protocol import Answer, Given, refuse_multi_label, run_protocol
from scripts.evaluate.scores import Labels
from scripts.evaluate.settings_protocols import LowShotSettings
from scripts.lib.step import run_step

log = logging.getLogger(__name__)

SMALLEST_STD = 1e-5  # OFFICIAL: added to each deviation
BLOCK_ROWS = 8192  # test rows scored at a time


def fit_ridge(rows: npt.NDArray[Any], targets: npt.NDArray[Any], penalty: float) -> npt.NDArray[np.float64]:
    """Return W [d, c] that minimises |rows W - targets|² + penalty |W|², by the smaller of the two normal equations."""
    count, dims = rows.shape
    if count < dims:
        weights = rows.T @ np.linalg.solve(rows @ rows.T + penalty * np.eye(count), targets)
    else:
        weights = np.linalg.solve(rows.T @ rows + penalty * np.eye(dims), rows.T @ targets)
    found: npt.NDArray[np.float64] = weights
    return found


def ridge_labels(train: Array, labels: Labels, test: Array, classes: int, settings: LowShotSettings) -> Labels:
    """Return the class of each test row [m, d] by the ridge on the train rows [n, d]; of equals the lower label."""
    wide = train.astype(np.float64)
    mean, std = wide.mean(axis=0), wide.std(axis=0) + SMALLEST_STD
    targets = np.where(labels[:, None] == np.arange(classes), 1.0, -1.0)

    def placed(rows: Array) -> npt.NDArray[np.float64]:
        return np.column_stack([(rows - mean) / std, np.full(len(rows), settings.bias)])

    weights = fit_ridge(placed(wide), targets, settings.penalty)
    parts = (test[first : first + BLOCK_ROWS] for first in range(0, len(test), BLOCK_ROWS))
    return np.concatenate([(placed(part) @ weights).argmax(axis=1) for part in parts]).astype(np.int64)


def low_shot_answers(given: Given, settings: LowShotSettings) -> list[Answer]:
    """Return the answers of each number of shots and draw."""
    refuse_multi_label(given, "low_shot")
    smallest = int(np.bincount(given.train_labels, minlength=given.classes).min())
    answers = []
    for shots in settings.shots:
        if shots > smallest:
            log.warning(
                "%d shots: the smallest train class of %s has %d, all of it is used", shots, given.task, smallest
            )
        for draw in range(settings.draws):
            chosen = draw_shots(given.train_labels, shots, settings.seed, "low shot", draw)
            predicted = ridge_labels(
                given.train_features[chosen], given.train_labels[chosen], given.test_features, given.classes, settings
            )
            facts = {
                "shots": shots,
                "train_images": len(chosen),
                "draw_seed": settings.seed,
                "penalty": settings.penalty,
                "bias": settings.bias,
            }
            answers.append(Answer(f"low_shot_{shots}", predicted, draw, settings=facts))
    return answers


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    run_protocol(argv, __doc__, LowShotSettings, low_shot_answers)


if __name__ == "__main__":
    run_step(main)
