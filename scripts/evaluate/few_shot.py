"""Episodes of a few classes: a few train images of each say what the classes are, test images are asked about.

N ways, K shots, Q queries as in CD-FSL's `few_shot.py` (5, 5, 15, 600 episodes). DEVIATION: support comes from the
train split and queries from the test split, so that no test image ever teaches. The value is the mean over episodes
with its 95 % interval, 1.96 sd / sqrt(episodes). Features have unit length.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from scripts.evaluate.features import Array, Features
from scripts.evaluate.protocol import Row, given_of, refuse_multi_label, run_rows
from scripts.evaluate.scores import CONFIDENCE_Z, Labels, Result
from scripts.evaluate.settings_protocols import FewShotSettings
from scripts.lib.draws import generator
from scripts.lib.errors import UserError
from scripts.lib.step import run_step

log = logging.getLogger(__name__)

ITERATIONS = 1000  # of the logistic fit, which has at most ways * shots rows


def unit_rows(rows: Array) -> npt.NDArray[np.float64]:
    """Return rows [n, d] of length 1; a row of zeros stays."""
    wide = rows.astype(np.float64)
    length = np.linalg.norm(wide, axis=-1, keepdims=True)
    found: npt.NDArray[np.float64] = np.divide(wide, length, out=np.zeros_like(wide), where=length > 0)
    return found


def nearest_centroid(support: npt.NDArray[Any], queries: npt.NDArray[Any]) -> Labels:
    """Return for each query [q, d] the way whose mean of support [ways, shots, d] is most similar in direction."""
    centroids = unit_rows(support.mean(axis=1))
    answers: Labels = (queries @ centroids.T).argmax(axis=1).astype(np.int64)
    return answers


def logistic(support: npt.NDArray[Any], queries: npt.NDArray[Any], c: float) -> Labels:
    """Return for each query [q, d] the way that multinomial logistic regression on support [ways, shots, d] gives it.

    The optimum lies in the span of the support, so both are first turned into it: the same answers in less time.
    """
    ways, shots, dims = support.shape
    basis = np.linalg.qr(support.reshape(ways * shots, dims).T)[0]  # [d, r]
    model = LogisticRegression(C=c, max_iter=ITERATIONS)
    model.fit(support.reshape(ways * shots, dims) @ basis, np.repeat(np.arange(ways), shots))
    answers: Labels = model.predict(queries @ basis).astype(np.int64)
    return answers


class Episodes:
    """The episodes of a labelled set: a function of (seed, shots, number), the same for every encoder."""

    def __init__(self, features: Features, settings: FewShotSettings, shots: int, task: str) -> None:
        self._settings, self._shots = settings, shots
        self._train = [np.flatnonzero(features.train_labels == label) for label in range(features.classes)]
        self._test = [np.flatnonzero(features.test_labels == label) for label in range(features.classes)]
        usable = [
            label for label in range(features.classes) if len(self._train[label]) >= shots and len(self._test[label])
        ]
        self._classes = np.array(usable)
        self.ways = min(settings.ways, len(usable))
        if self.ways < 2:
            raise UserError(
                f"few_shot needs two classes with {shots} train images and a test image, and the task {task} has "
                f"{len(usable)}; lower evaluate.few_shot.shots or leave the task out of evaluate.few_shot.tasks"
            )
        if self.ways < settings.ways:
            log.warning("the task %s has %d classes for episodes of %d: all of them", task, self.ways, settings.ways)

    def draw(self, number: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Labels]:
        """Return train indices [ways, shots], test indices [q] and the way of each, [q]."""
        random = generator(self._settings.seed, "few shot", self._shots, number)
        chosen = random.choice(self._classes, self.ways, replace=False)
        support = np.stack([random.choice(self._train[label], self._shots, replace=False) for label in chosen])
        asked = [
            random.choice(self._test[label], min(self._settings.queries, len(self._test[label])), replace=False)
            for label in chosen
        ]
        ways = np.repeat(np.arange(self.ways), [len(each) for each in asked])
        return support, np.concatenate(asked), ways


def episode_shares(features: Features, episodes: Episodes, settings: FewShotSettings) -> dict[str, list[float]]:
    """Return classifier → share of right answers in each episode, in percent."""
    train, test = unit_rows(features.train_features), unit_rows(features.test_features)
    shares: dict[str, list[float]] = {name: [] for name in settings.classifiers}
    for number in range(settings.episodes):
        support, asked, ways = episodes.draw(number)
        for name, found in shares.items():
            if name == "centroid":
                answers = nearest_centroid(train[support], test[asked])
            else:
                answers = logistic(train[support], test[asked], settings.c)
            found.append(100.0 * float(np.mean(answers == ways)))
    return shares


def few_shot_rows(features: Features, settings: FewShotSettings, run: str, task: str) -> list[Row]:
    """Return a row for each number of shots and classifier."""
    refuse_multi_label(given_of(features, task), "few_shot")
    rows = []
    for shots in settings.shots:
        episodes = Episodes(features, settings, shots, task)
        for name, found in episode_shares(features, episodes, settings).items():
            mean, sd = float(np.mean(found)), float(np.std(found, ddof=1)) if len(found) > 1 else 0.0
            half = CONFIDENCE_Z * sd / math.sqrt(len(found))
            facts: dict[str, Any] = {"ways": episodes.ways, "shots": shots, "queries": settings.queries}
            facts |= {"classifier": name, "seed": settings.seed} | ({"c": settings.c} if name == "logistic" else {})
            result = Result(
                run=run,
                task=task,
                protocol=f"few_shot_{settings.ways}way_{shots}shot_{name}",
                metric="top1",
                value=mean,
                n=len(features.test_labels),
                chance=100.0 / episodes.ways,
                low=max(0.0, mean - half),
                high=min(100.0, mean + half),
                sd=sd,
                repeats=len(found),
                settings=facts,
                inputs=features.inputs,
            )
            rows.append(result.row())
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    run_rows(argv, __doc__, FewShotSettings, few_shot_rows)


if __name__ == "__main__":
    run_step(main)
