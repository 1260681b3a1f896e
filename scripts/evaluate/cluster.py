"""Cluster the train features by k-means and say how well clusters of the test split agree with its classes.

Labels take no part in the clustering. Clusters are named after classes on the train split, one to one by the best
assignment (Kuhn 1955; "Hungarian") or each by its most frequent class ("purity"), and the names are scored on the test
split, so no test label chooses a name. NMI (arithmetic mean) and ARI need no names. Features have unit length.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from scripts.evaluate.features import Features
from scripts.evaluate.few_shot import unit_rows
from scripts.evaluate.protocol import Answer, Given, Row, refuse_multi_label, run_protocol
from scripts.evaluate.scores import Labels, Result, share_interval, top1
from scripts.evaluate.settings_protocols import ClusterSettings
from scripts.lib.draws import derived_seed, generator
from scripts.lib.step import run_step

log = logging.getLogger(__name__)

UNNAMED = -1  # of a cluster that the one-to-one assignment leaves over: always wrong
SHUFFLES = 20  # of the test clusters, for the chance level of NMI and ARI


def cluster_counts(clusters: Labels, labels: Labels, count: int, classes: int) -> npt.NDArray[np.int64]:
    """Return how many images of each class are in each cluster, [count, classes]."""
    return np.bincount(clusters * classes + labels, minlength=count * classes).reshape(count, classes)


def matched_names(counts: npt.NDArray[np.int64]) -> Labels:
    """Return the class of each cluster under the one-to-one assignment that gets most images right."""
    names = np.full(len(counts), UNNAMED)
    clusters, classes = linear_sum_assignment(counts, maximize=True)
    names[clusters] = classes
    return names


def cluster_answers(given: Given, settings: ClusterSettings) -> list[Answer]:
    """Return for each seed the test clusters and their names."""
    refuse_multi_label(given, "cluster")
    train, test = (unit_rows(each).astype(np.float32) for each in (given.train_features, given.test_features))
    count = min(settings.clusters or given.classes, len(train))
    answers = []
    for seed in settings.seeds:
        state = derived_seed(seed, "k-means") % 2**32
        model = KMeans(count, n_init=settings.restarts, max_iter=settings.max_iterations, random_state=state)
        counts = cluster_counts(model.fit_predict(train), given.train_labels, count, given.classes)
        found = model.predict(test).astype(np.int64)
        log.info("seed %d: %d clusters after %d iterations", seed, count, model.n_iter_)
        facts: dict[str, Any] = {"clusters": count, "restarts": settings.restarts}
        facts["max_iterations"] = settings.max_iterations
        more = {"clusters": found, "majority": counts.argmax(axis=1)[found]}
        named = "names of clusters: all train labels"
        answers.append(Answer("kmeans", matched_names(counts)[found], seed, None, named, facts, more))
    return answers


def cluster_rows(answer: Answer, features: Features, run: str, task: str) -> list[Row]:
    """Return the four figures of one clustering, in percent.

    Chance of the named ones is that of the most frequent train class for all, of NMI and ARI the mean over shuffled
    clusters.
    """
    labels, clusters = features.test_labels, answer.more["clusters"]
    constant = np.full_like(labels, np.bincount(features.train_labels).argmax())
    shuffles = [generator(number, "shuffled clusters").permutation(clusters) for number in range(SHUFFLES)]
    plain = Result(run, task, answer.protocol, "", 0.0, len(labels), top1(constant, labels), answer.seed)
    plain = replace(plain, settings=answer.settings, inputs=features.inputs)
    rows = []
    for metric, predicted in (("hungarian", answer.predicted), ("purity", answer.more["majority"])):
        value = top1(predicted, labels)
        low, high = share_interval(value, len(labels))
        named = replace(plain, metric=metric, value=value, low=low, high=high, selected_on=answer.selected_on)
        rows.append(named.row())
    for metric, score in (("nmi", normalized_mutual_info_score), ("ari", adjusted_rand_score)):
        chance = 100 * float(np.mean([score(labels, each) for each in shuffles]))
        value = 100 * float(score(labels, clusters))
        rows.append(replace(plain, metric=metric, value=value, chance=chance).row())
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    run_protocol(argv, __doc__, ClusterSettings, cluster_answers, rows_of=cluster_rows)


if __name__ == "__main__":
    run_step(main)
