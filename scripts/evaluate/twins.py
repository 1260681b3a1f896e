"""Test images that look like a train image: what a network has seen in training says nothing on a test.

Two pictures look alike when their perceptual hashes are near and their miniatures, laid the same way, correlate
(docs/decisions.md#47). All pairs are compared.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from PIL import Image

from scripts.evaluate.settings import TwinSettings
from scripts.lib.images import Pixels
from scripts.lib.perceptual_hash import (
    Grey,
    Hashes,
    Miniatures,
    correlations,
    distances,
    miniature_of,
    orientations,
    oriented_hashes,
    oriented_miniatures,
    perceptual_hashes,
    small_grey,
)

CHUNK = 256  # test images compared with all train images at once

Looks = tuple[Hashes, Miniatures]  # [n], [n, 256]


def looks_of(pictures: Iterable[Pixels]) -> Looks:
    """Return hash and miniature of each picture."""
    small: list[Grey] = [small_grey(Image.fromarray(each)) for each in pictures]
    empty = np.zeros((0, 256), np.uint8)
    return perceptual_hashes(small), np.stack([miniature_of(each) for each in small]) if small else empty


def twins(train: Looks, test: Looks, settings: TwinSettings) -> npt.NDArray[np.int64]:
    """Return for each test image the first train image that it looks like, -1 for none: [m]."""
    found = np.full(len(test[0]), len(train[0]), dtype=np.int64)
    for orientation in orientations(mirrored=settings.mirrored, turned=settings.turned):
        laid = oriented_hashes(train[0], orientation)
        for first in range(0, len(found), CHUNK):
            near = distances(test[0][first : first + CHUNK, None], laid[None, :]) <= settings.near_distance
            places, others = np.nonzero(near)
            alike = correlations(
                test[1][first + places], oriented_miniatures(train[1][others], orientation)
            ) >= settings.min_correlation  # fmt: skip
            np.minimum.at(found, first + places[alike], others[alike])
    return np.where(found == len(train[0]), -1, found)
