"""The votes of nearest neighbours, as DINO's `eval_knn.py` counts them (Wu et al. 2018, section 3.4)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]

BLOCK_ROWS = 4096  # images whose votes are counted at a time


def row_blocks(count: int) -> list[slice]:
    """Return slices that cover `count` rows, `BLOCK_ROWS` each."""
    return [slice(first, first + BLOCK_ROWS) for first in range(0, count, BLOCK_ROWS)]


def vote_weights(similarities: npt.NDArray[Any], k: int, temperature: float) -> npt.NDArray[np.float64]:
    """Return exp(s / T) of the k nearest [m, k], each row divided by its first: this changes no vote and is finite."""
    near = similarities[:, :k].astype(np.float64)
    weights: npt.NDArray[np.float64] = np.exp((near - near[:, :1]) / temperature)
    return weights


def count_votes(weights: npt.NDArray[np.float64], labels: Labels, classes: int) -> npt.NDArray[np.float64]:
    """Return the votes of neighbours of one label each, [m, k] → [m, classes]."""
    cells = np.arange(len(labels))[:, None] * classes + labels
    votes: npt.NDArray[np.float64] = np.zeros(len(labels) * classes)
    votes += np.bincount(cells.ravel(), weights=weights.ravel(), minlength=len(votes))
    return votes.reshape(len(labels), classes)


def vote(similarities: npt.NDArray[Any], neighbour_labels: Labels, classes: int, k: int, temperature: float) -> Labels:
    """Return the class with the largest sum of exp(s / T) over the k nearest; of equals the lower label."""
    found = [
        count_votes(vote_weights(similarities[rows], k, temperature), neighbour_labels[rows, :k], classes).argmax(1)
        for rows in row_blocks(len(similarities))
    ]
    return np.concatenate(found).astype(np.int64)
