"""Nearest neighbours by cosine similarity, exact in rank.

Candidates come from one matrix product in 32 bits. Its rounding depends on where a row stands in the matrix, so that
two equal train images can seem to differ: the candidates are therefore compared again in 64 bits, each pair by the same
sum, and every neighbour that rounding could have hidden is among them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from scripts.evaluate.features import Array, best_device

Similarities = npt.NDArray[np.float64]  # [m, k]
Indices = npt.NDArray[np.int64]  # [m, k]

BLOCK_CELLS = 2**26  # similarities held at a time: 256 MiB of float32
PAIR_CELLS = 2**22  # numbers of compared pairs held at a time: 32 MiB of float64
SLACK = 16  # candidates beyond k, more for a large k


def rounding(dims: int) -> float:
    """Return a bound on the error of a product of two unit vectors in 32 bits (Higham 2002, §3.1), norms included."""
    return 2.0 * (dims + 8) * 2.0**-24


def exact_similarities(train: Array, test: Array, indices: Indices) -> Similarities:
    """Return the cosine similarity of each test row [m, d] with its listed train rows [m, k], in 64 bits.

    A row of zeros has similarity 0 with everything. Each pair is summed in the same order, wherever it stands.
    """
    found = np.empty(indices.shape)
    step = max(1, PAIR_CELLS // (indices.shape[1] * train.shape[1]))
    for first in range(0, len(test), step):
        rows = slice(first, first + step)
        near = train[indices[rows]].astype(np.float64)  # [b, k, d]
        own = test[rows].astype(np.float64)[:, None, :]  # [b, 1, d]
        product = np.sqrt(np.square(near).sum(axis=-1)) * np.sqrt(np.square(own).sum(axis=-1))
        near *= own
        found[rows] = np.divide(near.sum(axis=-1), product, out=np.zeros_like(product), where=product > 0)
    return found


def _ranked(similarities: Similarities, indices: Indices, k: int) -> tuple[Similarities, Indices]:
    """Return the k most similar of each row, of equals the lower index first; indices come in any order."""
    by_index = np.argsort(indices, axis=1)
    indices, similarities = np.take_along_axis(indices, by_index, 1), np.take_along_axis(similarities, by_index, 1)
    order = np.argsort(-similarities, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(similarities, order, 1), np.take_along_axis(indices, order, 1)


def find_neighbours(train: Array, test: Array, k: int, cells: int = BLOCK_CELLS) -> tuple[Similarities, Indices]:
    """Return cosine similarity and train index of the k nearest train features of each test feature: two [m, k].

    Nearest first, of equals the lower train index first. `cells` bounds the similarities held at a time.

    Args:
        train: float32 [n, d], n at least k.
        test: float32 [m, d].
        k: neighbours of each.
        cells: similarities held at a time.
    """
    device, count = best_device(), len(train)
    unit = functional.normalize(torch.from_numpy(train).to(device), dim=1)  # [n, d]
    taken = min(count, k + max(SLACK, k // 8))
    doubt = 2 * rounding(train.shape[1])
    blocks = []
    for first in range(0, len(test), max(1, cells // count)):
        own = test[first : first + max(1, cells // count)]
        close = functional.normalize(torch.from_numpy(own).to(device), dim=1) @ unit.T  # [b, n]
        values, places = (each.cpu().numpy() for each in close.topk(taken, dim=1))
        similarities, indices = _ranked(exact_similarities(train, own, places), places, k)
        # Where the last candidate is as near as the k-th within rounding, one that was left out may be nearer.
        unsure = np.flatnonzero((values[:, k - 1] - values[:, -1] <= doubt) & (taken < count))
        for row in unsure:
            border = float(values[row, k - 1]) - doubt
            more = np.flatnonzero(close[row].cpu().numpy() >= border)[None]
            best = _ranked(_in_parts(train, own[row], more), more, k)
            similarities[row], indices[row] = best[0][0], best[1][0]
        blocks.append((similarities, indices))
    return np.concatenate([each for each, _ in blocks]), np.concatenate([each for _, each in blocks])


def _in_parts(train: Array, row: npt.NDArray[Any], indices: Indices) -> Similarities:
    """Return `exact_similarities` of one test row, of which there may be as many as train images."""
    step = max(1, PAIR_CELLS // train.shape[1])
    parts = np.split(indices, range(step, indices.shape[1], step), axis=1)
    return np.concatenate([exact_similarities(train, row[None], part) for part in parts], axis=1)
