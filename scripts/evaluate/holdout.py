"""The part of the train split that choices rest on: the test split takes part in none."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from scripts.evaluate.scores import Labels
from scripts.lib.draws import generator
from scripts.lib.errors import UserError


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


def required_holdout(labels: Labels, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Return `held_out`.

    Raises:
        UserError: no class has two train images, so that nothing can be held out.
    """
    mask = held_out(labels, share, seed)
    if not mask.any():
        raise UserError(
            "no class of the train split has two images, so nothing can be chosen on a held-out part; give the task "
            "more train images (max_train, test_share), or leave it out of the protocol's `tasks`"
        )
    return mask


def draw_shots(labels: Labels, shots: int, seed: int, purpose: str, *key: int) -> npt.NDArray[np.int64]:
    """Return the indices of `shots` images of each class, all of a smaller class; a larger draw holds a smaller one.

    The draw of a class is a function of (seed, purpose, key, class) alone. Indices are sorted.
    """
    chosen = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        order = generator(seed, purpose, *key, int(label)).permutation(len(members))
        chosen.append(members[order[:shots]])
    return np.sort(np.concatenate(chosen))
