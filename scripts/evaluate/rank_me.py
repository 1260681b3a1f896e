"""Measure the effective rank of the train features, without labels.

RankMe (Garrido et al. 2023, *RankMe: assessing the downstream performance of pretrained self-supervised
representations by their rank*, §3): exp of the entropy of the singular values, each divided by their sum. It lies
between 1, where all features are one direction, and the number of dimensions. The paper computes it after the
projection head: that is the row of the encoder `<run>-head` (`apply_head`); the others are before it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from scripts.evaluate.features import Array, Features
from scripts.evaluate.protocol import Row, run_rows
from scripts.evaluate.scores import Result
from scripts.evaluate.settings_protocols import RankMeSettings
from scripts.lib.draws import generator
from scripts.lib.step import run_step

log = logging.getLogger(__name__)

EPSILON = 1e-7  # PAPER (RankMe): added to each share
COLLAPSED = 1.0  # the figure of an encoder that gives one direction for all images
BLOCK_ROWS = 8192


def singular_values(rows: Array) -> npt.NDArray[Any]:
    """Return the singular values of rows [n, d], from their Gram matrix in 64 bits; none is negative."""
    gram = np.zeros((rows.shape[1], rows.shape[1]))
    for first in range(0, len(rows), BLOCK_ROWS):
        wide = rows[first : first + BLOCK_ROWS].astype(np.float64)
        gram += wide.T @ wide
    values: npt.NDArray[Any] = np.sqrt(np.clip(np.linalg.eigvalsh(gram), 0, None))
    return values


def effective_rank(rows: Array) -> float:
    """Return exp of the entropy of the singular values' shares of rows [n, d]; 1 for rows of zeros."""
    values = singular_values(rows)
    if values.sum() == 0:
        return COLLAPSED
    shares = values / values.sum() + EPSILON
    return float(np.exp(-(shares * np.log(shares)).sum()))


def rank_rows(features: Features, settings: RankMeSettings, run: str, task: str) -> list[Row]:
    """Return the row of the effective rank of a seeded part of train."""
    count = len(features.train_features)
    order = generator(settings.seed, "rank me").permutation(count)[: settings.max_images]
    rank = effective_rank(features.train_features[np.sort(order)])
    facts = {"dimensions": features.train_features.shape[1], "max_images": settings.max_images}
    seed = settings.seed if count > settings.max_images else ""
    result = Result(run, task, "rank_me", "effective_rank", rank, len(order), COLLAPSED, seed, settings=facts, inputs=features.inputs)  # fmt: skip  # noqa: E501
    return [result.row()]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    run_rows(argv, __doc__, RankMeSettings, rank_rows)


if __name__ == "__main__":
    run_step(main)
