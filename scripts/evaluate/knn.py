"""Classify the test split by its nearest neighbours in the train split (weighted kNN on features).

Wu et al. 2018, *Unsupervised feature learning via non-parametric instance discrimination*, §3.4; values and use as in
DINO's `eval_knn.py`: cosine similarity s, each of the k nearest votes for its class with the weight exp(s / T).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from scripts.evaluate.features import Features, best_device
from scripts.evaluate.protocol import run_protocol
from scripts.evaluate.scores import Labels, result_rows
from scripts.evaluate.settings import KnnSettings
from scripts.lib.step import run_step

log = logging.getLogger(__name__)

CHUNK_CELLS = 2**26  # similarities held at a time: 256 MiB of float32


def nearest(similarities: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return values and indices of the k largest entries of each row, largest first, of equals the lower index first.

    `torch.topk` is free to choose among equals; where equals lie on both sides of its border the row is sorted in full.
    """
    values, indices = similarities.topk(k, dim=1)  # [m, k]
    split_ties = (similarities >= values[:, -1:]).sum(dim=1) > k
    if bool(split_ties.any()):
        indices[split_ties] = similarities[split_ties].argsort(dim=1, descending=True, stable=True)[:, :k]
    indices = indices.sort(dim=1).values
    values = similarities.gather(1, indices)
    order = values.argsort(dim=1, descending=True, stable=True)
    return values.gather(1, order), indices.gather(1, order)


def find_neighbours(
    train: torch.Tensor, test: torch.Tensor, k: int, cells: int = CHUNK_CELLS
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return cosine similarity and train index of the k nearest train features of each test feature: two [m, k]."""
    device = best_device()
    train = functional.normalize(train.to(device), dim=1)  # [n, d]
    similarities, indices = [], []
    for chunk in torch.split(test, max(1, cells // len(train))):
        close = functional.normalize(chunk.to(device), dim=1) @ train.T  # [b, n]
        values, places = nearest(close, k)
        similarities.append(values.cpu().numpy())
        indices.append(places.cpu().numpy())
    return np.concatenate(similarities), np.concatenate(indices)


def vote(
    similarities: npt.NDArray[np.float32], neighbour_labels: Labels, classes: int, k: int, temperature: float
) -> Labels:
    """Return the class with the largest sum of exp(s / T) over the k nearest; of equals the lower label.

    The largest similarity of a row is subtracted first: this changes no vote and cannot overflow.
    """
    near, labels = similarities[:, :k].astype(np.float64), neighbour_labels[:, :k]
    weights = np.exp((near - near[:, :1]) / temperature)  # [m, k]
    cells = np.arange(len(labels))[:, None] * classes + labels
    votes = np.bincount(cells.ravel(), weights=weights.ravel(), minlength=len(labels) * classes)
    winners: Labels = votes.reshape(len(labels), classes).argmax(axis=1).astype(np.int64)
    return winners


def knn_rows(features: Features, settings: KnnSettings, run: str, task: str) -> list[tuple[str, ...]]:
    """Return the rows of results, one for each k and metric.

    A k beyond the number of train images becomes that number; the protocol's name keeps the k that was asked for.
    """
    count = len(features.train_labels)
    train_labels, test_labels = features.train_labels.numpy(), features.test_labels.numpy()
    close, indices = find_neighbours(
        features.train_features, features.test_features, min(max(settings.neighbours), count)
    )
    rows: list[tuple[str, ...]] = []
    for k in settings.neighbours:
        if k > count:
            log.warning("k = %d is more than the %d train images of the task %s: all of them vote", k, count, task)
        predicted = vote(close, train_labels[indices], features.classes, min(k, count), settings.temperature)
        what = (run, task, f"knn_k{k}_T{settings.temperature:g}", "")
        rows.extend(result_rows(what, predicted, test_labels, train_labels))
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    run_protocol(argv, __doc__, KnnSettings, knn_rows)


if __name__ == "__main__":
    run_step(main)
