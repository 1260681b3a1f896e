"""Metrics of a classification and the rows that report them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from scripts.lib.recipe import canonical_json

Labels = npt.NDArray[np.int64]  # [n]
Mask = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.floating[Any]]  # [n, classes]

CONFIDENCE_Z = 1.959964  # 95 %


@dataclass(frozen=True)
class Result:
    """One row of results; what is None or empty says nothing."""

    run: str
    task: str
    protocol: str
    metric: str
    value: float
    n: int
    chance: float
    seed: int | str = ""
    low: float | None = None
    high: float | None = None
    sd: float | None = None
    repeats: int | None = None
    selected_on: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)

    def row(self) -> tuple[str, ...]:
        """Return the cells of `RESULT_COLUMNS`."""
        return (
            *(self.run, self.task, self.protocol, self.metric, _number(self.value), str(self.n), str(self.seed)),
            *(_number(each) for each in (self.chance, self.low, self.high, self.sd)),
            "" if self.repeats is None else str(self.repeats),
            *(self.selected_on, canonical_json(dict(self.settings)), canonical_json(dict(self.inputs))),
        )


def _number(value: float | None) -> str:
    if value is None:
        return ""
    text = f"{value:.4f}"
    return "0.0000" if text == "-0.0000" else text


def share_interval(value: float, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share of `n` images, all in percent (Wilson 1927)."""
    share, square = value / 100, CONFIDENCE_Z**2 / n
    centre = (share + square / 2) / (1 + square)
    half = CONFIDENCE_Z * math.sqrt(share * (1 - share) / n + square / (4 * n)) / (1 + square)
    return 100 * max(0.0, centre - half), 100 * min(1.0, centre + half)


def top1(predicted: Labels, labels: Labels) -> float:
    """Return the share of right answers, in percent."""
    return 100.0 * float(np.mean(predicted == labels))


def mean_per_class(predicted: Labels, labels: Labels) -> float:
    """Return the mean over the test split's classes of the share of right answers in a class, in percent."""
    counts = np.bincount(labels)
    right = np.bincount(labels[predicted == labels], minlength=len(counts))
    return 100.0 * float(np.mean(right[counts > 0] / counts[counts > 0]))


def accepted_share(predicted: Labels, accepted: Mask) -> float:
    """Return the share of images whose answer is one of the accepted labels [n, classes], in percent.

    Images without any accepted label are left out, as for ImageNet's "real" labels (Beyer et al. 2020, §3).
    """
    judged = accepted.any(axis=1)
    return (
        100.0 * float(np.mean(accepted[np.flatnonzero(judged), predicted[judged]] & (predicted[judged] >= 0)))
        if judged.any()
        else 0.0
    )


METRICS: dict[str, Callable[[Labels, Labels], float]] = {"top1": top1, "mean_per_class": mean_per_class}


def result_rows(
    what: tuple[str, str, str, str],
    predicted: Labels,
    labels: Labels,
    train_labels: Labels,
    accepted: Mask | None = None,
    **more: Any,
) -> Iterator[tuple[str, ...]]:
    """Yield a row of `RESULT_COLUMNS` for each metric; `what` is (run, task, protocol, seed), `more` of `Result`.

    `chance` is the metric's value for the answer that needs no picture: always the most frequent train class (the
    first of equals). `n` is the number of test images; `seed` is "" where nothing is drawn. `accepted` [n, classes]
    are further labels that count as right under the metric `real_top1`. Intervals are those of a share of test images.
    """
    run, task, protocol, seed = what
    constant = np.full_like(labels, np.bincount(train_labels).argmax())
    for name, metric in METRICS.items():
        value = metric(predicted, labels)
        low, high = share_interval(value, len(labels)) if name == "top1" else (None, None)
        chance = metric(constant, labels)
        yield Result(run, task, protocol, name, value, len(labels), chance, seed, low, high, **more).row()
    if accepted is not None:
        judged = int(accepted.any(axis=1).sum())
        value, chance = accepted_share(predicted, accepted), accepted_share(constant, accepted)
        low, high = share_interval(value, judged) if judged else (None, None)
        yield Result(run, task, protocol, "real_top1", value, judged, chance, seed, low, high, **more).row()
