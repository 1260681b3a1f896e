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

import torch

from scripts.evaluate.features import best_device
from scripts.evaluate.holdout import held_out, required_holdout
from scripts.evaluate.logistic import LogisticRegression, predict, principal_axes
from scripts.evaluate.protocol import Answer, Given, refuse_multi_label, run_protocol
from scripts.evaluate.scores import Labels, top1
from scripts.evaluate.settings_protocols import LinearProbeSettings
from scripts.lib.step import run_step

log = logging.getLogger(__name__)

PROTOCOL = "linear_lbfgs"


def choose_c(regression: LogisticRegression, rows: torch.Tensor, labels: Labels, settings: LinearProbeSettings, seed: int) -> float:  # fmt: skip  # noqa: E501
    """Return the C whose fit to the rest of train is most often right on the held-out part; of equals the smallest.

    The fits go from the strongest penalty to the weakest, each starting where the last one ended.

    Raises:
        UserError: no class has two train images, so that nothing can be held out.
    """
    mask = required_holdout(labels, settings.holdout_share, seed)
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


def probe_answers(given: Given, settings: LinearProbeSettings) -> list[Answer]:
    """Return the answers of each seed of the held-out part.

    A fit to all of train depends on C alone, so seeds that choose the same C share it and have equal answers.
    """
    refuse_multi_label(given, "linear_probe")
    device = best_device()
    features, labels = torch.from_numpy(given.train_features).to(device), torch.from_numpy(given.train_labels)
    axes = principal_axes(features)
    train, test = axes.apply(features), axes.apply(torch.from_numpy(given.test_features).to(device))
    regression = LogisticRegression(train, labels.to(device), axes.variances, given.classes, settings.max_iterations)
    everything = torch.ones(len(train), device=device)
    predictions: dict[float, Labels] = {}
    answers = []
    for seed in settings.seeds:
        c = choose_c(regression, train, given.train_labels, settings, seed)
        if c not in predictions:
            log.info("fit to all of train with C %g", c)
            predictions[c] = predict(test, regression.fit(c, everything))
        held = int(held_out(given.train_labels, settings.holdout_share, seed).sum())
        facts = {
            "chosen": {"c": c},
            "c_values": sorted(settings.c_values),
            "holdout_share": settings.holdout_share,
            "max_iterations": settings.max_iterations,
            "standardised": True,
        }
        selected_on = f"{held} held-out train images, then refitted on all of train"
        answers.append(Answer(PROTOCOL, predictions[c], seed, selected_on=selected_on, settings=facts))
    return answers


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    run_protocol(argv, __doc__, LinearProbeSettings, probe_answers, set_threads=torch.set_num_threads)


if __name__ == "__main__":
    run_step(main)
