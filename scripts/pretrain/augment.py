"""Views of an image as torchvision's transforms make them, with every parameter drawn from a keyed generator.

Drawing and applying are apart: a view is a function of (image, parameters), and the parameters are a function of
(seed, epoch, image id, view). Distributions are those of torchvision's `RandomResizedCrop`, `ColorJitter` and so on;
the pixels come from a backend (scripts/pretrain/backends/): PIL's are those of the official codes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

from scripts.lib.draws import Uniform
from scripts.lib.images import Pixels
from scripts.pretrain.backend import DEVICE, Backend, Crop, View, ViewParameters, load_backend, load_finisher
from scripts.pretrain.settings import MocoAugmentation

RATIO = (3 / 4, 4 / 3)  # torchvision's default; all official codes of the paper's methods use it
CROP_ATTEMPTS = 10  # torchvision
JITTER_OPERATIONS = ("brightness", "contrast", "saturation", "hue")  # in the order of the setting `jitter`
SOLARISE_FROM = 128  # OFFICIAL (DINO): levels from here on are inverted; PIL's default
_LOG_RATIO = (math.log(RATIO[0]), math.log(RATIO[1]))
_ORDERS = tuple(itertools.permutations(range(len(JITTER_OPERATIONS))))


def between(low: float, high: float, uniform: Uniform) -> float:
    """Draw from [low, high)."""
    return low + (high - low) * uniform()


def draw_crop(width: int, height: int, scale: tuple[float, float], uniform: Uniform) -> Crop:
    """Draw the box of `RandomResizedCrop`: share of the area, log-uniform ratio, place; else the largest that fits."""
    for _ in range(CROP_ATTEMPTS):
        area = width * height * between(*scale, uniform)
        ratio = math.exp(between(*_LOG_RATIO, uniform))
        crop_width, crop_height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < crop_width <= width and 0 < crop_height <= height:
            top = int(uniform() * (height - crop_height + 1))
            left = int(uniform() * (width - crop_width + 1))
            return top, left, crop_height, crop_width
    crop_width, crop_height = width, height
    if width / height < RATIO[0]:
        crop_height = round(width / RATIO[0])
    elif width / height > RATIO[1]:
        crop_width = round(height * RATIO[1])
    return (height - crop_height) // 2, (width - crop_width) // 2, crop_height, crop_width


def draw_jitter(strength: tuple[float, float, float, float], uniform: Uniform) -> tuple[tuple[str, float], ...]:
    """Draw the factors of `ColorJitter` and the order of its operations; an operation of strength 0 is left out."""
    operations = []
    for index in _ORDERS[int(uniform() * len(_ORDERS))]:
        name, amount = JITTER_OPERATIONS[index], strength[index]
        if amount > 0:
            low, high = (-amount, amount) if name == "hue" else (max(0.0, 1 - amount), 1 + amount)
            operations.append((name, between(low, high, uniform)))
    return tuple(operations)


def draw_parameters(settings: MocoAugmentation, width: int, height: int, uniform: Uniform) -> ViewParameters:
    """Draw one view of an image of `width` x `height` pixels."""
    return ViewParameters(
        crop=draw_crop(width, height, settings.crop_scale, uniform),
        jitter=draw_jitter(settings.jitter, uniform) if uniform() < settings.jitter_probability else (),
        grey=uniform() < settings.grey_probability,
        blur_sigma=between(*settings.blur_sigma, uniform) if uniform() < settings.blur_probability else None,
        flip=uniform() < settings.flip_probability,
        solarise=False,
    )


def apply_parameters(backend: Backend, view: Any, drawn: ViewParameters) -> Any:
    """Return the view of a resized crop: flip, jitter, grey, blur, solarise, the order of SwAV and DINO.

    MoCo-v2's code flips last, which gives the same pixels: no other operation knows left from right.
    """
    if drawn.flip:
        view = backend.flip(view)
    for name, factor in drawn.jitter:
        view = backend.JITTER[name](view, factor)
    if drawn.grey:
        view = backend.grey(view)
    if drawn.blur_sigma is not None:
        view = backend.blur(view, drawn.blur_sigma)
    if drawn.solarise:
        view = backend.solarise(view, SOLARISE_FROM)
    return view


def view_maker(name: str, image: Pixels) -> Callable[[ViewParameters, int, str, float], View]:
    """Return what makes views of an image with a backend.

    Args:
        name: of the backend; with `device` a view is the crop alone, and what the device has to do with it.
        image: uint8 [h, w, 3].

    Returns:
        A function of what was drawn, the view's size, its interpolation, and the largest sigma that can be drawn.
    """
    if name != DEVICE:
        backend = load_backend(name)
        ready = backend.prepare(image)

        def whole_view(drawn: ViewParameters, size: int, interpolation: str, largest_sigma: float) -> View:
            crop = backend.resized_crop(ready, drawn.crop, size, interpolation)
            return backend.to_tensor(apply_parameters(backend, crop, drawn))

        return whole_view
    finisher = load_finisher()
    prepared = finisher.prepare(image)

    def crop_alone(drawn: ViewParameters, size: int, interpolation: str, largest_sigma: float) -> View:
        crop = finisher.resized_crop(prepared, drawn.crop, size, interpolation)
        return finisher.to_tensor(crop), finisher.pack(drawn, largest_sigma)

    return crop_alone
