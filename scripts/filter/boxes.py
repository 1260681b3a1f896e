"""Boxes of a picture: x0, y0, x1, y1 in its pixels, and the score; best first."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from scripts.lib.images import Pixels

Boxes = npt.NDArray[np.float32]  # [n, 5]: x0, y0, x1, y1 in pixels, score; best first


def as_boxes(corners: npt.ArrayLike, scores: npt.ArrayLike, floor: float) -> Boxes:
    """Return corners [n, 4] and scores [n] as boxes, best first; equal scores keep their order.

    Raises:
        ValueError: a number is not finite: the network has failed, and "no box" would be a wrong answer.
    """
    boxes = np.concatenate(
        [np.asarray(corners, np.float32).reshape(-1, 4), np.asarray(scores, np.float32).reshape(-1, 1)], axis=1
    )
    if not np.isfinite(boxes).all():
        raise ValueError("the network returned numbers that are not finite")
    boxes = boxes[boxes[:, 4] >= np.float32(floor)]
    return boxes[np.argsort(-boxes[:, 4], kind="stable")]


def cut_at_edges(boxes: Boxes, image: Pixels) -> Boxes:
    """Return boxes that end where the image does."""
    height, width = image.shape[:2]
    limits = np.array([width, height, width, height, 1], np.float32)
    return np.clip(boxes, np.float32(0), limits)


def suppress(boxes: Boxes, overlap: float) -> npt.NDArray[np.int64]:
    """Return the indices of `boxes`, best first, that greedy suppression at intersection over union `overlap` keeps.

    As torchvision's nms, in 32 bits: a box goes when its overlap with a kept one is more than `overlap`.
    """
    x0, y0, x1, y1 = boxes[:, :4].T
    areas = (x1 - x0) * (y1 - y0)
    waiting, kept = np.arange(len(boxes)), []
    while len(waiting):
        best, waiting = waiting[0], waiting[1:]
        kept.append(int(best))
        wide = np.minimum(x1[best], x1[waiting]) - np.maximum(x0[best], x0[waiting])
        tall = np.minimum(y1[best], y1[waiting]) - np.maximum(y0[best], y0[waiting])
        shared = np.maximum(wide, 0) * np.maximum(tall, 0)
        with np.errstate(invalid="ignore"):  # two empty boxes: 0 / 0, which is not more than `overlap`
            waiting = waiting[~(shared / (areas[best] + areas[waiting] - shared) > np.float64(overlap))]
    return np.array(kept, np.int64)
