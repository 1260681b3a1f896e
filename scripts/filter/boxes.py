"""Boxes of a picture: x0, y0, x1, y1 in its pixels, and the score; best first."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from scripts.lib.images import Pixels

BLOCK = 64  # boxes whose overlaps are computed at once
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
    kept = np.ones(len(boxes), np.bool_)
    for start in range(0, len(boxes), BLOCK):
        over = _overlaps(boxes[start : start + BLOCK], boxes[start:]) > np.float64(overlap)
        for row, hit in enumerate(over):
            if kept[start + row]:
                kept[start + row + 1 :] &= ~hit[row + 1 :]
    return np.flatnonzero(kept)


def _overlaps(some: Boxes, all_boxes: Boxes) -> npt.NDArray[np.float32]:
    """Return intersection over union of each with each, [len(some), len(all_boxes)]; of two empty boxes none (NaN)."""
    x0, y0, x1, y1 = some[:, :4].T[..., None]
    left, top, right, bottom = all_boxes[:, :4].T
    wide = np.minimum(x1, right) - np.maximum(x0, left)
    tall = np.minimum(y1, bottom) - np.maximum(y0, top)
    shared = np.maximum(wide, 0) * np.maximum(tall, 0)
    with np.errstate(invalid="ignore"):
        quotients: npt.NDArray[np.float32] = shared / ((x1 - x0) * (y1 - y0) + (right - left) * (bottom - top) - shared)
    return quotients
