"""The operations of a view as torchvision's transforms do them on PIL images: the pixels of the official codes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image, ImageFilter, ImageOps
from torch import Tensor
from torchvision.transforms import InterpolationMode, functional

from scripts.lib.images import Pixels

JITTER: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "brightness": functional.adjust_brightness,
    "contrast": functional.adjust_contrast,
    "saturation": functional.adjust_saturation,
    "hue": functional.adjust_hue,
}


def prepare(image: Pixels) -> Image.Image:
    """Return PIL's image of uint8 [h, w, 3]."""
    return Image.fromarray(image)


def resized_crop(image: Image.Image, crop: tuple[int, int, int, int], size: int, interpolation: str) -> Image.Image:
    """Return a crop (top, left, height, width), `size` pixels square."""
    view: Image.Image = functional.resized_crop(image, *crop, [size, size], InterpolationMode(interpolation))
    return view


def grey(view: Image.Image) -> Image.Image:
    """Return the grey picture in three channels."""
    grey_view: Image.Image = functional.rgb_to_grayscale(view, num_output_channels=3)
    return grey_view


def blur(view: Image.Image, sigma: float) -> Image.Image:
    """Return the view blurred by three box filters of together `sigma` pixels, which is what PIL calls Gaussian."""
    return view.filter(ImageFilter.GaussianBlur(radius=sigma))  # OFFICIAL: PIL's radius is the sigma


def flip(view: Image.Image) -> Image.Image:
    """Return the view with left and right exchanged."""
    flipped: Image.Image = functional.hflip(view)
    return flipped


def solarise(view: Image.Image, threshold: int) -> Image.Image:
    """Return the view with the levels from `threshold` on inverted."""
    return ImageOps.solarize(view, threshold)


def to_tensor(view: Image.Image) -> Tensor:
    """Return uint8 [3, h, w]; scaling and normalising are left to the device that trains."""
    return torch.from_numpy(np.array(view)).permute(2, 0, 1).contiguous()
