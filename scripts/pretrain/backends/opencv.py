"""The operations of a view on NumPy arrays with OpenCV: about four times as fast as PIL, nearly the same pixels.

Which operations, in which order and with which parameters is not decided here (scripts/pretrain/augment.py). How far
the pixels lie from those of torchvision on PIL is stated and tested operation by operation in
tests/pretrain/test_backends.py; docs/decisions.md#70 says where and why they differ. Each operation is the fastest of
OpenCV's ways to do it; docs/decisions.md#77 has the measurements.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor

from scripts.lib.images import Pixels
from scripts.pretrain.box_blur import blur_kernel, reach

cv2.setNumThreads(1)  # a loader process is one core's work; OpenCV's own threads would fight with its neighbours

LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R 601, as PIL's convert("L")
_SHARP_UP_TO = 1.05  # a crop at most this much larger than the view is interpolated without a low-pass filter
_POINTS_UP_TO, _COARSE_FROM, _DOUBLE_UP_TO = 1.6, 2.0, 3.0
# Measured against PIL's filters on photographs: 1 / 6 for a blur of unlimited width, more for one of three pixels.
_VARIANCE, _LEAST_VARIANCE, _COARSE_SIGMA = 0.22, 0.01, 0.65
_INTERPOLATIONS = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}
_CUT_OFF = -0.499  # PIL cuts fractions off where OpenCV rounds
_CUT_OFF_MIXED = -0.45  # the same for OpenCV's coarser arithmetic of matrices: least bias on photographs
_STEPS = 256  # OpenCV's integer filter knows weights in this many steps; their sum must stay 1


def prepare(image: Pixels) -> Pixels:
    """Return the image as it is."""
    return image


def resized_crop(image: Pixels, crop: tuple[int, int, int, int], size: int, interpolation: str) -> Pixels:
    """Return a crop (top, left, height, width) as [size, size, 3], smoothed about as PIL's antialiasing filters smooth.

    PIL's bilinear filter is a triangle two output pixels wide, whose variance is shrink**2 / 6 pixels of the crop, of
    which interpolation at points brings 1 / 6; a blur before it brings the rest. A crop that shrinks to half or less
    would need a wide blur: it is sampled at double or fourfold size instead and averaged down. PIL's bicubic filter is
    sharper: interpolation at points comes close to it as long as the crop shrinks little, plain averaging beyond.
    """
    top, left, height, width = crop
    part = image[top : top + height, left : left + width]
    shrink = max(height, width) / size
    if shrink <= _SHARP_UP_TO:
        return _pixels(cv2.resize(part, (size, size), interpolation=_INTERPOLATIONS[interpolation]))
    if interpolation == "bicubic" and shrink < _POINTS_UP_TO:
        return _pixels(cv2.resize(part, (size, size), interpolation=cv2.INTER_LINEAR))
    if interpolation == "bilinear" and shrink < _COARSE_FROM:
        sigmas = [math.sqrt(max(_LEAST_VARIANCE, _VARIANCE * ((side / size) ** 2 - 1))) for side in (width, height)]
        smooth = cv2.sepFilter2D(part, -1, _three_taps(sigmas[0]), _three_taps(sigmas[1]))
        return _pixels(cv2.resize(smooth, (size, size), interpolation=cv2.INTER_LINEAR))
    factor = 2 if shrink <= _DOUBLE_UP_TO else 4
    view = cv2.resize(part, (factor * size, factor * size), interpolation=cv2.INTER_LINEAR)
    if factor == 4:
        view = cv2.resize(view, (2 * size, 2 * size), interpolation=cv2.INTER_AREA)
    if interpolation == "bilinear":
        view = cv2.sepFilter2D(view, -1, _three_taps(_COARSE_SIGMA), _three_taps(_COARSE_SIGMA))
    return _pixels(cv2.resize(view, (size, size), interpolation=cv2.INTER_AREA))


def _three_taps(sigma: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    side = math.exp(-0.5 / sigma**2)
    return np.array([side, 1.0, side]) / (1 + 2 * side)


def brightness(view: Pixels, factor: float) -> Pixels:
    """Scale all levels."""
    return _pixels(cv2.convertScaleAbs(view, alpha=factor, beta=_CUT_OFF))


def contrast(view: Pixels, factor: float) -> Pixels:
    """Spread the levels around the mean of the grey picture."""
    mean = int(cv2.mean(cv2.cvtColor(view, cv2.COLOR_RGB2GRAY))[0] + 0.5)
    return _pixels(cv2.addWeighted(view, factor, view, 0.0, (1 - factor) * mean + _CUT_OFF))


def saturation(view: Pixels, factor: float) -> Pixels:
    """Spread each colour around its grey."""
    matrix = np.full((3, 4), _CUT_OFF_MIXED)
    matrix[:, :3] = np.eye(3) * factor + (1 - factor) * LUMA
    return _pixels(cv2.transform(view, matrix))


def hue(view: Pixels, factor: float) -> Pixels:
    """Turn the hue by `factor` of the circle (-0.5 to 0.5), in 8-bit HSV as PIL does."""
    turned = np.asarray(cv2.cvtColor(view, cv2.COLOR_RGB2HSV_FULL), np.uint8)
    rows = turned.reshape(len(turned), -1)
    step = np.zeros_like(rows[0])
    step[::3] = int(factor * 255) % 256
    rows += step  # wraps around, as the circle does; whole rows at a time are ten times as fast as one channel
    return _pixels(cv2.cvtColor(turned, cv2.COLOR_HSV2RGB_FULL))


JITTER: dict[str, Callable[[Pixels, float], Pixels]] = {
    "brightness": brightness,
    "contrast": contrast,
    "saturation": saturation,
    "hue": hue,
}


def grey(view: Pixels) -> Pixels:
    """Return the grey picture [h, w], a third of the work for what follows."""
    return _pixels(cv2.cvtColor(view, cv2.COLOR_RGB2GRAY))


def blur(view: Pixels, sigma: float) -> Pixels:
    """Blur with PIL's three box filters, as one kernel."""
    side = np.rint(blur_kernel(sigma)[: reach(sigma)] * _STEPS)
    side = side[np.count_nonzero(side == 0) :]  # weights rise towards the middle
    kernel = np.concatenate([side, [_STEPS - 2 * side.sum()], side[::-1]]) / _STEPS
    return _pixels(cv2.sepFilter2D(view, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE))


def flip(view: Pixels) -> Pixels:
    """Mirror left and right."""
    return _pixels(cv2.flip(view, 1))


def solarise(view: Pixels, threshold: int) -> Pixels:
    """Invert the levels from `threshold` on."""
    return _pixels(np.where(view < threshold, view, 255 - view))


def to_tensor(view: Pixels) -> Tensor:
    """Return uint8 [3, h, w]; scaling and normalising are left to the device that trains."""
    planes = np.empty((3, *view.shape[:2]), np.uint8)
    if view.ndim == 2:
        planes[:] = view
    else:
        cv2.split(view, list(planes))
    return torch.from_numpy(planes)


def _pixels(array: object) -> Pixels:
    return np.asarray(array, dtype=np.uint8)
