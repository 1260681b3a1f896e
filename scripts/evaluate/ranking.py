"""Metrics of images that can have several labels: average precision in both of its usual forms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from scripts.evaluate.scores import Mask, Result, Scores
from scripts.lib.draws import generator


def precision_recall(scores: npt.NDArray[Any], truth: Mask) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return precision and recall at each distinct score, from the highest down.

    Images of equal score come in together, so the figures do not depend on their order. `truth` has a true entry.
    """
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(truth[order])
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # last image of each group of equals
    return hits[last] / (last + 1), hits[last] / hits[-1]


def area_ap(scores: npt.NDArray[Any], truth: Mask) -> float:
    """Return the average precision of one class: the sum of precision times the step in recall (VOC since 2010)."""
    precision, recall = precision_recall(scores, truth)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def eleven_point_ap(scores: npt.NDArray[Any], truth: Mask) -> float:
    """Return the average over recall 0, 0.1, ... 1 of the best precision at that recall or above (VOC 2007)."""
    precision, recall = precision_recall(scores, truth)
    # 1e-9: 0.3 must count as reached by 3 of 10, whatever its last bit is.
    reached = [precision[recall >= point - 1e-9] for point in np.linspace(0, 1, 11)]
    return float(np.mean([best.max() for best in reached]))


RANKINGS = 20  # for the chance level
METRICS = {"map_area": area_ap, "map_11_point": eleven_point_ap}


def ranking_rows(
    what: tuple[str, str, str, str], scores: Scores, accepted: Mask, ignored: Mask | None, **more: Any
) -> Iterator[tuple[str, ...]]:
    """Yield a row of `RESULT_COLUMNS` for each form of mAP, in percent; arguments as for `scores.result_rows`.

    Args:
        what: run, task, protocol, seed.
        scores: [n, classes], large where a class is thought to be there.
        accepted: [n, classes], the labels that each test image has.
        ignored: [n, classes], the labels in whose ranking an image does not appear (VOC's difficult); None for none.
        more: further fields of `Result`.

    Classes without a test image have no average precision and are left out. Chance is the mean over random rankings:
    the best precision that remains, which eleven points take, is above the class's share of the images by luck alone.
    """
    run, task, protocol, seed = what
    counted = np.ones_like(accepted) if ignored is None else ~ignored | accepted
    present = np.flatnonzero(accepted.any(axis=0))
    rankings = [generator(number, "random ranking").permutation(len(scores)) for number in range(RANKINGS)]
    own = [(label, counted[:, label], accepted[counted[:, label], label]) for label in present]
    for name, metric in METRICS.items():
        lucky = [metric(ranking[rows], truth) for ranking in rankings for _, rows, truth in own]
        chance = 100.0 * float(np.mean(lucky))
        value = 100.0 * float(np.mean([metric(scores[rows, label], truth) for label, rows, truth in own]))
        yield Result(run, task, protocol, name, value, len(accepted), chance, seed, **more).row()
