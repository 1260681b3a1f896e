"""Train a linear classifier on the features of the train split and score it on the test split.

Multinomial logistic regression by L-BFGS on cached features, without augmentation, its regularisation chosen on a
held-out part of train and the classifier refitted on all of train with it (Kornblith et al. 2019, *Do better ImageNet
models transfer better?*, §3; dinov2's `log_regression.py`). The test split takes no part in any choice. Features are
standardised by train's mean and standard deviation, which is MAE's affine-free batch normalisation before the linear
layer (`main_linprobe.py`): one grid of C then fits encoders of any feature scale.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from scripts.evaluate.features import Features, best_device
from scripts.evaluate.logistic import LogisticRegression, predict, principal_axes
from scripts.evaluate.protocol import run_protocol
from scripts.evaluate.scores import Labels, result_rows, top1
from scripts.evaluate.settings import LinearProbeSettings
from scripts.lib.draws import generator
from scripts.lib.errors import UserError
from scripts.lib.step import run_step

log = logging.getLogger(__name__)

PROTOCOL = "linear_lbfgs"


def held_out(labels: Labels, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Return which train images are held out: the nearest whole number to `share` of each class, drawn by `seed`.

    At least one image of each class stays, and at least one is held out of each class that has two.
    """
    mask = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = min(max(1, round(share * len(members))), len(members) - 1)
        order = generator(seed, "linear probe held-out", int(label)).permutation(len(members))
        mask[members[order[:count]]] = True
    return mask


def choose_c(regression: LogisticRegression, rows: torch.Tensor, labels: Labels, settings: LinearProbeSettings, seed: int) -> float:  # fmt: skip  # noqa: E501
    """Return the C whose fit to the rest of train is most often right on the held-out part; of equals the smallest.

    The fits go from the strongest penalty to the weakest, each starting where the last one ended.

    Raises:
        UserError: no class has two train images, so that nothing can be held out.
    """
    mask = held_out(labels, settings.holdout_share, seed)
    if not mask.any():
        raise UserError(
            "no class of the train split has two images, so no regularisation can be chosen on a held-out part; give "
            "the task more train images (max_train, test_share)"
        )
    weights = torch.from_numpy(~mask).float().to(rows.device)
    held_rows = rows[torch.from_numpy(mask).to(rows.device)]
    best_c, best_score = 0.0, -1.0
    coefficients: torch.Tensor | None = None
    candidates = sorted(settings.c_values)
    for c in candidates:
        coefficients = regression.fit(c, weights, coefficients)
        score = top1(predict(held_rows, coefficients), labels[mask])
        log.info("seed %d, C %g: %.2f %% of %d held-out images", seed, c, score, int(mask.sum()))
        if score > best_score:
            best_c, best_score = c, score
    if len(candidates) > 1 and best_c in (candidates[0], candidates[-1]):
        log.warning("seed %d chose C %g at the end of c_values; a wider grid may find a better one", seed, best_c)
    return best_c


def probe_rows(features: Features, settings: LinearProbeSettings, run: str, task: str) -> list[tuple[str, ...]]:
    """Return the rows of results, one for each seed of the held-out part and metric.

    A fit to all of train depends on C alone, so seeds that choose the same C share it and have equal results.
    """
    device = best_device()
    axes = principal_axes(features.train_features.to(device))
    train, test = (axes.apply(each.to(device)) for each in (features.train_features, features.test_features))
    labels, test_labels = features.train_labels.numpy(), features.test_labels.numpy()
    regression = LogisticRegression(
        train, features.train_labels.to(device), axes.variances, features.classes, settings.max_iterations
    )
    everything = torch.ones(len(train), device=device)
    predictions: dict[float, Labels] = {}
    rows: list[tuple[str, ...]] = []
    for seed in settings.seeds:
        c = choose_c(regression, train, labels, settings, seed)
        if c not in predictions:
            log.info("fit to all of train with C %g", c)
            predictions[c] = predict(test, regression.fit(c, everything))
        rows.extend(result_rows((run, task, PROTOCOL, str(seed)), predictions[c], test_labels, labels))
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    run_protocol(argv, __doc__, LinearProbeSettings, probe_rows)


if __name__ == "__main__":
    run_step(main)
