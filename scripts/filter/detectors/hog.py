"""OpenCV's HOG people detector (Dalal and Triggs, CVPR 2005): whole standing people of at least 96 pixels.

Demo-grade: it needs no weights and no internet, and it misses most people in photographs.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from scripts.filter.boxes import Boxes, as_boxes
from scripts.filter.settings import HogDetector
from scripts.lib.errors import UserError
from scripts.lib.images import Pixels

WINDOW = (64, 128)  # pixels, width and height of what the detector was trained on
STRIDE = (8, 8)  # pixels, OpenCV's people sample
PADDING = (8, 8)  # pixels, OpenCV's people sample
PYRAMID_SCALE = 1.05  # OpenCV's default
MAX_UPSCALE = 4.0  # beyond, a picture shows its pixels
NMS = 0.5  # only tidies the list of boxes; the best score does not depend on it


def scaled(image: Pixels, max_side: int) -> tuple[Pixels, float]:
    """Return the image with a longer side of `max_side` pixels (enlarged `MAX_UPSCALE` times at most), and the scale.

    What is then smaller than the detector's window is continued to the right and below by its last row and column.
    """
    height, width = image.shape[:2]
    scale = min(max_side / max(height, width), MAX_UPSCALE)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    result: Any = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    right, below = max(0, WINDOW[0] - size[0]), max(0, WINDOW[1] - size[1])
    return np.asarray(cv2.copyMakeBorder(result, 0, below, 0, right, cv2.BORDER_REPLICATE), np.uint8), scale


def sigmoid(margins: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return 1 / (1 + exp(-margins))."""
    return np.asarray(1.0 / (1.0 + np.exp(-margins)))


class HogRunner:
    """The detector with OpenCV's own coefficients."""

    def __init__(self, settings: HogDetector) -> None:
        self.settings = settings
        self.hog = cv2.HOGDescriptor()
        self.hog.setSVMDetector(np.asarray(cv2.HOGDescriptor.getDefaultPeopleDetector(), np.float32))
        # The margin whose sigmoid is the recording floor; a floor of 0 or 1 has none.
        floor = min(max(settings.score_floor, 1e-6), 1 - 1e-6)
        self.margin = math.log(floor / (1 - floor))

    def detect(self, images: list[Pixels], scale: float = 1.0) -> list[Boxes]:
        """Return the people of each image."""
        return [self._detect_one(image, round(self.settings.max_side * scale)) for image in images]

    def _detect_one(self, image: Pixels, max_side: int) -> Boxes:
        ready, scale = scaled(image, max_side)
        found, margins = self.hog.detectMultiScale(
            ready, hitThreshold=self.margin, winStride=STRIDE, padding=PADDING, scale=PYRAMID_SCALE, groupThreshold=0
        )
        if len(found) == 0:
            return as_boxes([], [], self.settings.score_floor)
        places = np.asarray(found, np.float32)  # x, y, width, height
        scores = sigmoid(np.asarray(margins, np.float64).reshape(-1))
        kept = np.asarray(cv2.dnn.NMSBoxes(places.tolist(), scores.tolist(), self.settings.score_floor, NMS), np.int64)
        corners = np.concatenate([places[:, :2], places[:, :2] + places[:, 2:]], axis=1) / scale
        return as_boxes(corners[kept], scores[kept], self.settings.score_floor)


def load_detector(settings: HogDetector, weights: Path | None, threads: int) -> HogRunner:
    """Return the detector; its coefficients are part of OpenCV."""
    if weights is not None:
        raise UserError(f"the detector {settings.name} (hog) is part of OpenCV; --weights must be empty")
    cv2.setNumThreads(threads)
    return HogRunner(settings)
