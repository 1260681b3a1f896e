"""Classify the test split by its nearest neighbours in the train split (weighted kNN on features).

Wu et al. 2018, *Unsupervised feature learning via non-parametric instance discrimination*, §3.4; values and use as in
DINO's `eval_knn.py`: cosine similarity s, each of the k nearest votes for its class with the weight exp(s / T).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from scripts.evaluate.neighbours import find_neighbours
from scripts.evaluate.protocol import Answer, Given, run_protocol
from scripts.evaluate.scores import Labels, Mask
from scripts.evaluate.settings_protocols import KnnSettings
from scripts.lib.step import run_step
from scripts.lib.votes import row_blocks, vote, vote_weights

log = logging.getLogger(__name__)


def vote_shares(
    similarities: npt.NDArray[Any], indices: Labels, accepted: Mask, k: int, temperature: float
) -> npt.NDArray[np.float64]:
    """Return for each class the share of the votes whose images have it, [m, classes]: images have several labels."""
    shares = np.empty((len(indices), accepted.shape[1]))
    for rows in row_blocks(len(indices)):
        weights = vote_weights(similarities[rows], k, temperature)
        votes = np.einsum("mk,mkc->mc", weights, accepted[indices[rows, :k]])
        shares[rows] = votes / weights.sum(axis=1, keepdims=True)
    return shares


def knn_answers(given: Given, settings: KnnSettings) -> list[Answer]:
    """Return the answers of each way to count votes.

    A k beyond the number of train images becomes that number; the protocol's name keeps the k that was asked for.
    """
    count = len(given.train_labels)
    close, indices = find_neighbours(
        given.train_features, given.test_features, min(max(each.neighbours for each in settings.votes), count)
    )
    answers = []
    for asked in settings.votes:
        k, temperature = min(asked.neighbours, count), asked.temperature
        if asked.neighbours > count:
            log.warning(
                "k = %d is more than the %d train images of the task %s: all of them vote",
                *(asked.neighbours, count, given.task),
            )
        scores = None
        if given.train_accepted is not None:
            scores = vote_shares(close, indices, given.train_accepted, k, temperature)
            predicted = scores.argmax(axis=1).astype(np.int64)
        else:
            predicted = vote(close, given.train_labels[indices], given.classes, k, temperature)
        name = f"knn_k{asked.neighbours}_T{temperature:g}"
        facts = {"neighbours": asked.neighbours, "temperature": temperature, "similarity": "cosine", "voters": k}
        answers.append(Answer(name, predicted, scores=scores, settings=facts))
    return answers


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    run_protocol(argv, __doc__, KnnSettings, knn_answers, set_threads=torch.set_num_threads)


if __name__ == "__main__":
    run_step(main)
