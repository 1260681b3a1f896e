"""RetinaFace (Deng et al., CVPR 2020), single-stage face detector, as PASS ran it: native resolution, NMS 0.4.

The network runs in one of two engines whose scores agree to 1e-4 (docs/decisions.md#49): `onnxruntime`, on a CPU, reads
the file of `convert_weights` and needs no torch; `torch` reads the published state dict and takes a GPU where there is
one. What comes after the network is the same code.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from scripts.filter.boxes import Boxes, as_boxes, suppress
from scripts.filter.onnx_session import open_session
from scripts.filter.settings import RetinaFaceDetector
from scripts.lib.errors import UserError
from scripts.lib.images import Pixels

Array = npt.NDArray[np.float32]
# Of an image: indices of the priors whose score is at least the floor [k], their offsets [k, 4] and scores [k]
Found = tuple[npt.NDArray[np.int64], Array, Array]
Engine = Callable[[npt.NDArray[np.uint8], float], list[Found]]  # RGB [n, h, w, 3], floor

# PAPER's released code (data/config.py, cfg_mnet): two square priors at each of three strides
MIN_SIZES = ((16, 32), (64, 128), (256, 512))  # pixels
STRIDES = (8, 16, 32)  # pixels
VARIANCES = (0.1, 0.2)


@lru_cache(maxsize=8)  # images come sorted by size
def priors_of(height: int, width: int) -> Array:
    """Return the priors of an image size: [n, 4], centre x, y, width, height in pixels."""
    levels = []
    for stride, sizes in zip(STRIDES, MIN_SIZES, strict=True):
        rows, columns = math.ceil(height / stride), math.ceil(width / stride)
        y, x, size = np.meshgrid(np.arange(rows), np.arange(columns), np.array(sizes), indexing="ij")
        levels.append(np.stack([(x + 0.5) * stride, (y + 0.5) * stride, size, size], axis=-1).reshape(-1, 4))
    return np.concatenate(levels).astype(np.float32)


def decode(offsets: Array, priors: Array) -> Array:
    """Return corners [n, 4] in pixels of offsets and priors [n, 4]."""
    centres = priors[:, :2] + offsets[:, :2] * np.float32(VARIANCES[0]) * priors[:, 2:]
    halves = priors[:, 2:] * np.exp(offsets[:, 2:] * np.float32(VARIANCES[1])) / 2
    return np.concatenate([centres - halves, centres + halves], axis=1)


def keep_found(offsets: Array, scores: Array, floor: float) -> list[Found]:
    """Return what reaches the floor, of offsets [n, priors, 4] and scores [n, priors].

    Raises:
        ValueError: a score is not finite: the network has failed, and "no face" would be a wrong answer.
    """
    if not np.isfinite(scores).all():
        raise ValueError("the network returned numbers that are not finite")
    found = [np.flatnonzero(each >= np.float32(floor)) for each in scores]
    return [(kept, offsets[index, kept], scores[index, kept]) for index, kept in enumerate(found)]


class RetinaFaceRunner:
    """A loaded RetinaFace."""

    def __init__(self, settings: RetinaFaceDetector, engine: Engine) -> None:
        self.settings, self.engine = settings, engine

    def detect(self, images: list[Pixels], scale: float = 1.0) -> list[Boxes]:
        """Return the faces of images of equal size."""
        height, width = images[0].shape[:2]
        pixels = np.stack([self._resized(image, scale) for image in images])
        rows, columns = pixels.shape[1:3]
        back = np.array([width / columns, height / rows] * 2, np.float32)
        priors = priors_of(rows, columns)
        found = []
        for kept, offsets, scores in self.engine(pixels, self.settings.score_floor):
            boxes = as_boxes(decode(offsets, priors[kept]) * back, scores, self.settings.score_floor)
            found.append(boxes[suppress(boxes, self.settings.nms)])
        return found

    def _resized(self, image: Pixels, scale: float) -> Pixels:
        height, width = image.shape[:2]
        if self.settings.max_side is not None:
            scale *= self.settings.max_side / max(height, width)
        if scale == 1:
            return image
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def onnx_engine(weights: Path, threads: int) -> Engine:
    """Return the network of a file of `convert_weights`.

    Images go one by one: a batch of them is slower, because its maps no longer fit into the cache.
    """
    session = open_session(weights, threads)

    def run(pixels: npt.NDArray[np.uint8], floor: float) -> list[Found]:
        found: list[Found] = []
        for image in pixels:
            offsets, scores = session.run(["offsets", "scores"], {"pixels": image[None]})
            found += keep_found(offsets, scores, floor)
        return found

    return run


def torch_engine(backbone: str, weights: Path | None, threads: int) -> Engine:
    """Return the network of a state dict, on the GPU where there is one."""
    import torch

    from scripts.filter.retinaface_network import load_network
    from scripts.filter.torch_weights import choose_device

    device = choose_device(threads)
    network = load_network(backbone, weights).to(device).to(memory_format=torch.channels_last)

    def run(pixels: npt.NDArray[np.uint8], floor: float) -> list[Found]:
        with torch.inference_mode():
            offsets, scores = network(torch.from_numpy(pixels).to(device))
            if not torch.isfinite(scores).all():
                raise ValueError("the network returned numbers that are not finite")
            found: list[Found] = []
            for each_offsets, each_scores in zip(offsets, scores, strict=True):
                kept = (each_scores >= floor).nonzero()[:, 0]  # before the copy: few of thousands
                parts = (kept, each_offsets[kept], each_scores[kept])
                found.append(tuple(part.cpu().numpy() for part in parts))
            return found

    return run


def load_detector(settings: RetinaFaceDetector, weights: Path | None, threads: int) -> RetinaFaceRunner:
    """Return the detector of `settings`; `weights` is what its engine reads.

    Raises:
        UserError: no file, or not the network that the settings name.
    """
    cv2.setNumThreads(threads)
    if settings.engine == "torch":
        return RetinaFaceRunner(settings, torch_engine(settings.backbone, weights, threads))
    if weights is None:
        raise UserError(
            f"the detector {settings.name} (engine onnxruntime) needs a weights file, the one of `convert_weights`, "
            "and --weights is empty"
        )
    return RetinaFaceRunner(settings, onnx_engine(weights, threads))
