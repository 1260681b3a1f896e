"""Train one linear SVM for each class and score the ranking of the test images: VOC07's protocol for several labels.

As in VISSL's `voc07_svm`: features of unit length, liblinear's L2-regularised squared hinge, the cost of each class
chosen by the mean average precision over folds of train, then a fit to all of train. Folds are stratified and drawn by
the seed. Classes without positive or negative train images score 0 everywhere.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC

from scripts.evaluate.few_shot import unit_rows
from scripts.evaluate.protocol import Answer, Given, run_protocol
from scripts.evaluate.ranking import area_ap
from scripts.evaluate.scores import Mask
from scripts.evaluate.settings_protocols import LinearSvmSettings
from scripts.lib.draws import derived_seed, generator
from scripts.lib.step import run_step

log = logging.getLogger(__name__)

Rows = npt.NDArray[np.float64]


def fold_numbers(truth: Mask, folds: int, seed: int, label: int) -> npt.NDArray[np.int64]:
    """Return the fold of each image [n]: images that have the class and those that have not, each dealt out in turn."""
    numbers = np.empty(len(truth), dtype=np.int64)
    for kind in (False, True):
        members = np.flatnonzero(truth == kind)
        order = generator(seed, "svm folds", label, int(kind)).permutation(len(members))
        numbers[members[order]] = np.arange(len(members)) % folds
    return numbers


def decide(fit: tuple[Rows, Mask], test: Rows, cost: float, settings: LinearSvmSettings, state: int) -> Rows:
    """Return the decision values of the test rows [m] under the SVM fitted to `fit`, rows and which have the class.

    `state` seeds liblinear's order of rows.
    """
    model = LinearSVC(
        C=cost,
        class_weight={True: settings.positive_weight, False: 1.0},
        max_iter=settings.max_iterations,
        dual=True,
        random_state=state,
    )
    with warnings.catch_warnings():
        # The official run stops at 2000 iterations too, and large costs do not converge in them.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(*fit)
    values: Rows = model.decision_function(test)
    return values


def choose_cost(train: Rows, truth: Mask, settings: LinearSvmSettings, label: int, seed: int) -> float | None:
    """Return the cost with the best mean average precision over the folds, of equals the smallest.

    None where the class or its complement has fewer than two train images: nothing can be held out.
    """
    folds = min(settings.folds, int(truth.sum()), int((~truth).sum()))
    if folds < 2:
        return None
    numbers = fold_numbers(truth, folds, seed, label)
    state = derived_seed(seed, "svm", label) % 2**32
    best_cost, best_score = 0.0, -1.0
    for cost in sorted(settings.costs):
        scores = []
        for fold in range(folds):
            held = numbers == fold
            values = decide((train[~held], truth[~held]), train[held], cost, settings, state)
            scores.append(area_ap(values, truth[held]))
        if np.mean(scores) > best_score:
            best_cost, best_score = cost, float(np.mean(scores))
    return best_cost


def svm_answers(given: Given, settings: LinearSvmSettings) -> list[Answer]:
    """Return the scores of each seed of the folds."""
    train, test = unit_rows(given.train_features), unit_rows(given.test_features)
    accepted = given.train_accepted
    if accepted is None:
        accepted = given.train_labels[:, None] == np.arange(given.classes)
    answers = []
    for seed in settings.seeds:
        scores, costs = np.zeros((len(test), given.classes)), []
        for label in range(given.classes):
            truth = accepted[:, label]
            cost = choose_cost(train, truth, settings, label, seed)
            costs.append(cost)
            if not truth.any() or truth.all():
                continue
            if cost is None:
                cost = sorted(settings.costs)[len(settings.costs) // 2]
                log.warning("class %d has one train image or all but one: cost %g, the grid's middle", label, cost)
            state = derived_seed(seed, "svm", label) % 2**32
            scores[:, label] = decide((train, truth), test, cost, settings, state)
        facts: dict[str, Any] = settings.model_dump(mode="json", exclude={"tasks", "seeds"})
        facts["chosen"] = {"costs": costs}
        selected_on = f"{settings.folds} folds of the {len(train)} train images, then refitted on all of train"
        predicted = scores.argmax(axis=1).astype(np.int64)
        answers.append(Answer("linear_svm", predicted, seed, scores, selected_on, facts))
    return answers


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    run_protocol(argv, __doc__, LinearSvmSettings, svm_answers)


if __name__ == "__main__":
    run_step(main)
