"""Views of an image as torchvision's transforms make them, with every parameter drawn from a keyed generator.

Drawing and applying are apart: a view is a function of (image, parameters), and the parameters are a function of
(seed, epoch, image id, view). Distributions are those of torchvision's `RandomResizedCrop`, `ColorJitter` and so on;
the pixels come from a backend (scripts/pretrain/backends/): PIL's are those of the official codes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from scripts.pretrain.backend import Backend, Crop, apply_jitter
from scripts.pretrain.settings import MocoAugmentation

RATIO = (3 / 4, 4 / 3)  # torchvision's default; all official codes of the paper's methods use it
CROP_ATTEMPTS = 10  # torchvision
JITTER_OPERATIONS = ("brightness", "contrast", "saturation", "hue")  # in the order of the setting `jitter`


@dataclass(frozen=True)
class ViewParameters:
    """All that was drawn for one view."""

    crop: Crop
    jitter: tuple[tuple[str, float], ...]  # (operation, factor) in the order of application; empty = none
    grey: bool
    blur_sigma: float | None  # pixels of the resized crop; None = no blur
    flip: bool


def draw_crop(width: int, height: int, scale: tuple[float, float], generator: np.random.Generator) -> Crop:
    """Draw the box of `RandomResizedCrop`: share of the area, log-uniform ratio, place; else the largest that fits."""
    for _ in range(CROP_ATTEMPTS):
        area = width * height * generator.uniform(*scale)
        ratio = math.exp(generator.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
        crop_width, crop_height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < crop_width <= width and 0 < crop_height <= height:
            top = int(generator.integers(0, height - crop_height + 1))
            left = int(generator.integers(0, width - crop_width + 1))
            return top, left, crop_height, crop_width
    crop_width, crop_height = width, height
    if width / height < RATIO[0]:
        crop_height = round(width / RATIO[0])
    elif width / height > RATIO[1]:
        crop_width = round(height * RATIO[1])
    return (height - crop_height) // 2, (width - crop_width) // 2, crop_height, crop_width


def draw_jitter(
    strength: tuple[float, float, float, float], generator: np.random.Generator
) -> tuple[tuple[str, float], ...]:
    """Draw the factors of `ColorJitter` and the order of its operations; an operation of strength 0 is left out."""
    operations = []
    for index in generator.permutation(len(strength)):
        name, amount = JITTER_OPERATIONS[index], strength[index]
        low, high = (-amount, amount) if name == "hue" else (max(0.0, 1 - amount), 1 + amount)
        factor = float(generator.uniform(low, high))
        if amount > 0:
            operations.append((name, factor))
    return tuple(operations)


def draw_parameters(
    settings: MocoAugmentation, width: int, height: int, generator: np.random.Generator
) -> ViewParameters:
    """Draw one view of an image of `width` x `height` pixels."""
    return ViewParameters(
        crop=draw_crop(width, height, settings.crop_scale, generator),
        jitter=draw_jitter(settings.jitter, generator) if generator.random() < settings.jitter_probability else (),
        grey=generator.random() < settings.grey_probability,
        blur_sigma=(
            float(generator.uniform(*settings.blur_sigma)) if generator.random() < settings.blur_probability else None
        ),
        flip=generator.random() < settings.flip_probability,
    )


def apply_parameters(backend: Backend, image: Any, drawn: ViewParameters, size: int) -> Any:
    """Return the view [size, size] of a prepared image, in MoCo-v2's order: crop, jitter, grey, blur, flip."""
    view = backend.resized_crop(image, drawn.crop, size, "bilinear")
    view = apply_jitter(backend, view, drawn.jitter)
    if drawn.grey:
        view = backend.grey(view)
    if drawn.blur_sigma is not None:
        view = backend.blur(view, drawn.blur_sigma)
    if drawn.flip:
        view = backend.flip(view)
    return view
