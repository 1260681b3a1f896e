"""Metrics of a classification and the rows that report them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]  # [n]


def top1(predicted: Labels, labels: Labels) -> float:
    """Return the share of right answers, in percent."""
    return 100.0 * float(np.mean(predicted == labels))


def mean_per_class(predicted: Labels, labels: Labels) -> float:
    """Return the mean over the test split's classes of the share of right answers in a class, in percent."""
    counts = np.bincount(labels)
    right = np.bincount(labels[predicted == labels], minlength=len(counts))
    return 100.0 * float(np.mean(right[counts > 0] / counts[counts > 0]))


METRICS = {"top1": top1, "mean_per_class": mean_per_class}


def result_rows(
    what: tuple[str, str, str, str], predicted: Labels, labels: Labels, train_labels: Labels
) -> Iterator[tuple[str, ...]]:
    """Yield a row of `RESULT_COLUMNS` for each metric; `what` is (run, task, protocol, seed).

    `chance` is the metric's value for the answer that needs no picture: always the most frequent train class (the
    first of equals). `n` is the number of test images; `seed` is "" where nothing is drawn.
    """
    run, task, protocol, seed = what
    constant = np.full_like(labels, np.bincount(train_labels).argmax())
    for name, metric in METRICS.items():
        value, chance = metric(predicted, labels), metric(constant, labels)
        yield run, task, protocol, name, f"{value:.4f}", str(len(labels)), seed, f"{chance:.4f}"
