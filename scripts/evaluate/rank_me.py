"""Measure the effective rank of the train features, without labels.

RankMe (Garrido et al. 2023, *RankMe: assessing the downstream performance of pretrained self-supervised
representations by their rank*, §3): exp of the entropy of the singular values, each divided by their sum. It lies
between 1, where all features are one direction, and the number of dimensions. The paper computes it after the
projection head: that is the row of the encoder `<run>-head` (`apply_head`); the others are before it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from scripts.evaluate.features import Features
from scripts.evaluate.protocol import Row, run_rows
from scripts.evaluate.scores import Result
from scripts.evaluate.settings_protocols import RankMeSettings
from scripts.lib.draws import generator
from scripts.lib.effective_rank import COLLAPSED, effective_rank
from scripts.lib.step import run_step

log = logging.getLogger(__name__)


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
