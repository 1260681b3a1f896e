"""A detector in an ONNX file, run by ONNX Runtime; `layout` says how pictures go in and how the outputs are read.

Pictures go in as the publishers of the files prepare them: BGR, scaled with their proportions onto a square canvas.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime

from scripts.filter.boxes import Boxes, as_boxes
from scripts.filter.onnx_session import open_session
from scripts.filter.settings import OnnxDetector
from scripts.lib.errors import UserError
from scripts.lib.images import Pixels

Array = npt.NDArray[np.float32]
Outputs = dict[str, Array]
Found = tuple[Array, Array]  # corners [n, 4] on the canvas in pixels, scores [n]

PERSON = 0  # COCO's 80 classes without background
MEAN_BGR = (103.53, 116.28, 123.675)  # levels 0-255; NanoDet's and RTMDet's configs
STD_BGR = (57.375, 57.12, 58.395)
RTMDET_PADDING = 114  # level; mmdet's Pad in RTMDet's test pipeline
NANODET_CLASSES = 80
YUNET_STRIDES = (8, 16, 32)
SIDE_UNIT = 32  # pixels, the largest stride of these networks


class Canvas:
    """A picture on a square of `side` pixels, and the way back to the picture's own pixels."""

    def __init__(self, image: Pixels, side: int, centred: bool, padding: int) -> None:
        height, width = image.shape[:2]
        self.scale = side / max(height, width)
        self.left = (side - self.scale * width) / 2 if centred else 0.0
        self.top = (side - self.scale * height) / 2 if centred else 0.0
        move = np.array([[self.scale, 0, self.left], [0, self.scale, self.top]], np.float64)
        bgr = np.ascontiguousarray(image[:, :, ::-1])
        canvas = cv2.warpAffine(
            bgr, move, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(padding,) * 3
        )
        self.pixels: Pixels = np.asarray(canvas, np.uint8)
        self.limits = np.array([width, height, width, height], np.float32)

    def back(self, corners: Array) -> Array:
        """Return corners [n, 4] on the canvas as corners on the picture, cut at its edges."""
        shift = np.array([self.left, self.top, self.left, self.top], np.float32)
        placed: Array = (corners - shift) / np.float32(self.scale)
        return np.clip(placed, 0, self.limits).astype(np.float32)


def normalised(pixels: Pixels) -> Array:
    """Return [1, 3, h, w], each channel minus its mean and divided by its deviation."""
    ready = (pixels.astype(np.float32) - np.array(MEAN_BGR, np.float32)) / np.array(STD_BGR, np.float32)
    return np.ascontiguousarray(ready.transpose(2, 0, 1)[None])


def levels(pixels: Pixels) -> Array:
    """Return [1, 3, h, w], levels 0-255."""
    return np.ascontiguousarray(pixels.astype(np.float32).transpose(2, 0, 1)[None])


def cell_centres(rows: int, stride: int, offset: float) -> Array:
    """Return x, y of the cells of a square map with `rows` cells, row by row: [rows, 2], pixels of the canvas."""
    side = math.isqrt(rows)
    y, x = np.divmod(np.arange(rows), side)
    return ((np.stack([x, y], axis=1) + offset) * stride).astype(np.float32)


def read_nanodet(outputs: Outputs, side: int, floor: float) -> Found:
    """Read NanoDet's head: for each stride class scores [1, cells, 80] and four distances as bins [1, cells, 4 x bins].

    A distance is the expectation over its bins, in strides (Generalized Focal Loss, Li et al. 2020).
    """
    classes = {array.shape[1]: array[0] for array in outputs.values() if array.shape[2] == NANODET_CLASSES}
    distances = {array.shape[1]: array[0] for array in outputs.values() if array.shape[2] != NANODET_CLASSES}
    corners, scores = [], []
    for cells in sorted(classes, reverse=True):
        score = classes[cells][:, PERSON]  # [cells], the file ends with the sigmoid
        found = score >= floor
        stride = side // math.isqrt(cells)
        bins = distances[cells][found]
        bins = bins.reshape(len(bins), 4, bins.shape[1] // 4)  # [n, 4, bins]
        weights = np.exp(bins - bins.max(axis=2, keepdims=True))
        steps = np.arange(bins.shape[2], dtype=np.float32)
        reach = (weights * steps).sum(axis=2) / weights.sum(axis=2) * stride  # [n, 4]: left, top, right, bottom
        centres = cell_centres(cells, stride, 0.5)[found]
        corners.append(np.concatenate([centres - reach[:, :2], centres + reach[:, 2:]], axis=1))
        scores.append(score[found])
    return np.concatenate(corners), np.concatenate(scores)


def read_rtmdet(outputs: Outputs, side: int, floor: float) -> Found:
    """Read a file that ends with its own suppression: dets [1, n, 5] and labels [1, n]."""
    rows = outputs["dets"][0][outputs["labels"][0] == PERSON]
    return rows[:, :4], rows[:, 4]


def read_yunet(outputs: Outputs, side: int, floor: float) -> Found:
    """Read YuNet's heads for each stride as OpenCV's FaceDetectorYN does: score = sqrt(class x object)."""
    corners, scores = [], []
    for stride in YUNET_STRIDES:
        class_score, object_score = outputs[f"cls_{stride}"][0, :, 0], outputs[f"obj_{stride}"][0, :, 0]
        score = np.sqrt(np.clip(class_score, 0, 1) * np.clip(object_score, 0, 1))
        found = score >= floor
        box = outputs[f"bbox_{stride}"][0][found]  # [n, 4]: centre from the cell's corner, log size, in strides
        centre = cell_centres(len(score), stride, 0.0)[found] + box[:, :2] * stride
        half = np.exp(box[:, 2:]) * stride / 2
        corners.append(np.concatenate([centre - half, centre + half], axis=1))
        scores.append(score[found])
    return np.concatenate(corners), np.concatenate(scores)


class Layout:
    """How a family of files is fed and read."""

    def __init__(
        self, centred: bool, padding: int, feed: Callable[[Pixels], Array], read: Callable[[Outputs, int, float], Found]
    ) -> None:
        self.centred, self.padding, self.feed, self.read = centred, padding, feed, read


LAYOUTS = {
    "nanodet": Layout(centred=True, padding=0, feed=normalised, read=read_nanodet),
    "rtmdet": Layout(centred=False, padding=RTMDET_PADDING, feed=normalised, read=read_rtmdet),
    "yunet": Layout(centred=False, padding=0, feed=levels, read=read_yunet),
}


def suppress(corners: Array, scores: Array, floor: float, overlap: float) -> npt.NDArray[np.int64]:
    """Return the indices that greedy suppression at intersection over union `overlap` keeps."""
    sides = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxes(sides.tolist(), scores.tolist(), floor, overlap) if len(scores) else ()
    return np.asarray(kept, np.int64).reshape(-1)


class OnnxRunner:
    """A loaded ONNX detector."""

    def __init__(self, settings: OnnxDetector, session: onnxruntime.InferenceSession) -> None:
        self.settings = settings
        self.session = session
        self.layout = LAYOUTS[settings.layout]
        self.input = session.get_inputs()[0].name
        self.outputs = [output.name for output in session.get_outputs()]

    def detect(self, images: list[Pixels], scale: float = 1.0) -> list[Boxes]:
        """Return the boxes of each image; one at a time, because most of these files have a fixed batch of one."""
        side = max(1, round(self.settings.input_size * scale / SIDE_UNIT)) * SIDE_UNIT
        return [self._detect_one(image, self.settings.input_size if scale == 1 else side) for image in images]

    def _detect_one(self, image: Pixels, side: int) -> Boxes:
        floor = self.settings.score_floor
        canvas = Canvas(image, side, self.layout.centred, self.layout.padding)
        arrays = self.session.run(self.outputs, {self.input: self.layout.feed(canvas.pixels)})
        corners, scores = self.layout.read(dict(zip(self.outputs, arrays, strict=True)), side, floor)
        if not np.isfinite(scores).all():
            raise ValueError("the network returned numbers that are not finite")
        kept = suppress(corners, scores, floor, self.settings.nms)
        return as_boxes(canvas.back(corners[kept]), scores[kept], floor)


def check_layout(settings: OnnxDetector, session: onnxruntime.InferenceSession) -> None:
    """Run a grey picture through the file at each scale and read the outputs.

    Raises:
        UserError: the file does not take a picture of `input_size`, or its outputs are not those of `layout`.
    """
    grey = np.full((settings.input_size, settings.input_size, 3), 128, np.uint8)
    scales = settings.views.scales if settings.views else (1.0,)
    try:
        for scale in scales:
            OnnxRunner(settings, session).detect([grey], scale)
    except Exception as error:
        shapes = [(item.name, item.shape) for item in (*session.get_inputs(), *session.get_outputs())]
        raise UserError(
            f"the detector {settings.name} does not work as layout {settings.layout} with input_size "
            f"{settings.input_size} and scales {', '.join(map(str, scales))} (a file of a fixed size takes no "
            f"scale but 1.0: give it tiles) ({type(error).__name__}: {' '.join(str(error).split())[:200]}). Inputs and "
            f"outputs of its file: {shapes}"
        ) from error


def load_detector(settings: OnnxDetector, weights: Path | None, threads: int) -> OnnxRunner:
    """Return the detector of `settings`.

    Raises:
        UserError: no file, no ONNX, or not of the layout that the settings name.
    """
    if weights is None:
        raise UserError(f"the detector {settings.name} (onnx) needs a weights file, and --weights is empty")
    cv2.setNumThreads(threads)
    session = open_session(weights, threads)
    check_layout(settings, session)
    return OnnxRunner(settings, session)
