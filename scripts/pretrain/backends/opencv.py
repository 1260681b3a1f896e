"""The operations of a view on NumPy arrays with OpenCV: two to three times as fast as PIL, nearly the same pixels.

Which operations, in which order and with which parameters is not decided here (scripts/pretrain/augment.py). How far
the pixels lie from those of torchvision on PIL is stated and tested operation by operation in
tests/pretrain/test_backends.py; docs/decisions.md#70 says where and why they differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from scripts.lib.images import Pixels

cv2.setNumThreads(1)  # a loader process is one core's work; OpenCV's own threads would fight with its neighbours

LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R 601, as PIL's convert("L")
_SHARP_UP_TO = 1.05  # a crop at most this much larger than the view is interpolated without a low-pass filter
_POINTS_UP_TO, _COARSE_FROM, _DOUBLE_UP_TO = 1.6, 2.0, 3.0
# Measured against PIL's filters on photographs: 1 / 6 for a blur of unlimited width, more for one of three pixels.
_VARIANCE, _LEAST_VARIANCE, _COARSE_SIGMA = 0.22, 0.01, 0.65
_UNCHANGED = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)  # a table [1, 256, 3] for cv2.LUT
_INTERPOLATIONS = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}


def prepare(image: Image.Image) -> Pixels:
    """Return an RGB image as uint8 [h, w, 3]."""
    return np.asarray(image)


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
        smooth = cv2.GaussianBlur(part, (3, 3), sigmas[0], sigmaY=sigmas[1])
        return _pixels(cv2.resize(smooth, (size, size), interpolation=cv2.INTER_LINEAR))
    factor = 2 if shrink <= _DOUBLE_UP_TO else 4
    view = cv2.resize(part, (factor * size, factor * size), interpolation=cv2.INTER_LINEAR)
    if factor == 4:
        view = cv2.resize(view, (2 * size, 2 * size), interpolation=cv2.INTER_AREA)
    if interpolation == "bilinear":
        view = cv2.GaussianBlur(view, (3, 3), _COARSE_SIGMA)
    return _pixels(cv2.resize(view, (size, size), interpolation=cv2.INTER_AREA))


def _mixed(view: Pixels, matrix: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> Pixels:
    """Return the view with each colour sent through a 3 x 3 or 3 x 4 matrix, rounded and clipped to 0-255."""
    return _pixels(cv2.transform(view, matrix))


def brightness(view: Pixels, factor: float) -> Pixels:
    """Scale all levels."""
    return _mixed(view, np.eye(3) * factor)


def contrast(view: Pixels, factor: float) -> Pixels:
    """Spread the levels around the mean of the grey picture."""
    mean = int(float(np.dot(LUMA, cv2.mean(view)[:3])) + 0.5)
    return _mixed(view, np.hstack([np.eye(3) * factor, np.full((3, 1), (1 - factor) * mean)]))


def saturation(view: Pixels, factor: float) -> Pixels:
    """Spread each colour around its grey."""
    return _mixed(view, np.eye(3) * factor + (1 - factor) * np.tile(LUMA, (3, 1)))


def hue(view: Pixels, factor: float) -> Pixels:
    """Turn the hue by `factor` of the circle (-0.5 to 0.5), in 8-bit HSV as PIL does."""
    table = _UNCHANGED.copy()
    table[0, :, 0] += np.uint8(int(factor * 255) % 256)  # wraps around, as the circle does
    turned = cv2.LUT(cv2.cvtColor(view, cv2.COLOR_RGB2HSV_FULL), table)
    return _pixels(cv2.cvtColor(turned, cv2.COLOR_HSV2RGB_FULL))


JITTER: dict[str, Callable[[Pixels, float], Pixels]] = {
    "brightness": brightness,
    "contrast": contrast,
    "saturation": saturation,
    "hue": hue,
}


def grey(view: Pixels) -> Pixels:
    """Return the grey picture in three equal channels."""
    return _pixels(cv2.cvtColor(cv2.cvtColor(view, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB))


def blur(view: Pixels, sigma: float) -> Pixels:
    """Blur with a true Gaussian; PIL's, which the official codes use, is made of three box filters."""
    return _pixels(cv2.GaussianBlur(view, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE))


def flip(view: Pixels) -> Pixels:
    """Mirror left and right."""
    return _pixels(cv2.flip(view, 1))


def solarise(view: Pixels, threshold: int) -> Pixels:
    """Invert the levels from `threshold` on."""
    levels = np.arange(256)
    return _pixels(cv2.LUT(view, np.where(levels < threshold, levels, 255 - levels).astype(np.uint8)))


def to_tensor(view: Pixels) -> Tensor:
    """Return uint8 [3, h, w]; scaling and normalising are left to the device that trains."""
    return torch.from_numpy(np.stack(cv2.split(view)))


def _pixels(array: object) -> Pixels:
    return np.asarray(array, dtype=np.uint8)
