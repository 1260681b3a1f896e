"""Several looks at a picture, larger and in overlapping tiles, for the people that one look misses.

Each look is a call of the detector itself; its boxes are moved back to the picture's pixels, and of boxes that overlap
the best is kept. So the highest score of a picture is the highest of all looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from scripts.filter.boxes import Boxes, cut_at_edges, suppress
from scripts.filter.settings import Views
from scripts.lib.images import Pixels


class ScalingDetector(Protocol):
    """A loaded detector."""

    def detect(self, images: list[Pixels], scale: float) -> list[Boxes]:
        """Return the boxes of images of equal size, seen `scale` times as large as the settings say."""
        ...


def resized(image: Pixels, scale: float) -> Pixels:
    """Return the image `scale` times as large (at least one pixel), bilinear or, when it shrinks, by area."""
    if scale == 1:
        return image
    height, width = image.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(
        cv2.resize(image, size, interpolation=cv2.INTER_LINEAR if scale > 1 else cv2.INTER_AREA), np.uint8
    )


def tile_starts(length: int, tiles: int, overlap: float) -> tuple[list[int], int]:
    """Return where the tiles along one side of `length` pixels begin, and how long each is.

    The first begins at 0, the last ends at `length`, and neighbours share at least `overlap` of a tile.
    """
    side = min(length, int(np.ceil(length / (tiles - (tiles - 1) * overlap))))
    return [round(index * (length - side) / (tiles - 1)) for index in range(tiles)], side


def cut_tiles(height: int, width: int, views: Views) -> Iterator[tuple[slice, slice]]:
    """Yield rows and columns of the tiles, all of one size; none where `views.tiles` is 1."""
    if views.tiles == 1:
        return
    tops, tall = tile_starts(height, views.tiles, views.overlap)
    lefts, wide = tile_starts(width, views.tiles, views.overlap)
    for top in tops:
        for left in lefts:
            yield slice(top, top + tall), slice(left, left + wide)


def merge(found: list[Boxes], nms: float) -> Boxes:
    """Return the boxes of several looks at one picture, best first, without those that a better one overlaps."""
    boxes = np.concatenate(found)
    boxes = boxes[np.argsort(-boxes[:, 4], kind="stable")]
    return boxes[suppress(boxes, nms)]


class ManyViews:
    """A detector that looks several times."""

    def __init__(self, detector: ScalingDetector, views: Views) -> None:
        self.detector, self.views = detector, views

    def detect(self, images: list[Pixels], scale: float = 1.0) -> list[Boxes]:
        """Return the merged boxes of images of equal size."""
        found: list[list[Boxes]] = [[] for _ in images]
        for each in self.views.scales:
            self._look(images, found, (0, 0), each * scale)
        for rows, columns in cut_tiles(images[0].shape[0], images[0].shape[1], self.views):
            tiles = [np.ascontiguousarray(image[rows, columns]) for image in images]
            self._look(tiles, found, (columns.start, rows.start), scale)
        return [merge(boxes, self.views.nms) for boxes in found]

    def _look(self, images: list[Pixels], found: list[list[Boxes]], place: tuple[int, int], scale: float) -> None:
        """Add the boxes of one look, whose left upper corner lies at `place`, x and y in pixels."""
        move: npt.NDArray[np.float32] = np.array([*place, *place, 0], np.float32)
        for boxes, image, detected in zip(found, images, self.detector.detect(images, scale), strict=True):
            boxes.append(cut_at_edges(detected, image) + move)
