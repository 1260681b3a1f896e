"""Crops of several sizes of an image, and one forward pass for each size (SwAV section 3.2, as DINO uses it too)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from scripts.pretrain.augment import draw_crop, draw_jitter
from scripts.pretrain.backend import Backend, Crop, apply_jitter, load_backend
from scripts.pretrain.contract import ViewDraws, normalised
from scripts.pretrain.settings_multicrop import CropGroup, MultiCropAugmentation

SOLARISE_FROM = 128  # OFFICIAL (DINO): levels from here on are inverted; PIL's default


@dataclass(frozen=True)
class CropParameters:
    """All that was drawn for one crop."""

    crop: Crop
    flip: bool
    jitter: tuple[tuple[str, float], ...]  # (operation, factor) in the order of application; empty = none
    grey: bool
    blur_sigma: float | None  # pixels of the resized crop; None = no blur
    solarise: bool


def draw_crop_parameters(group: CropGroup, width: int, height: int, generator: np.random.Generator) -> CropParameters:
    """Draw one crop of an image of `width` x `height` pixels."""
    return CropParameters(
        crop=draw_crop(width, height, group.crop_scale, generator),
        flip=generator.random() < group.flip_probability,
        jitter=draw_jitter(group.jitter, generator) if generator.random() < group.jitter_probability else (),
        grey=generator.random() < group.grey_probability,
        blur_sigma=(
            float(generator.uniform(*group.blur_sigma)) if generator.random() < group.blur_probability else None
        ),
        solarise=generator.random() < group.solarise_probability,
    )


def apply_crop_parameters(backend: Backend, image: Any, drawn: CropParameters, group: CropGroup) -> Any:
    """Return the crop of a prepared image, in the order of SwAV and DINO: crop, flip, jitter, grey, blur, solarise."""
    view = backend.resized_crop(image, drawn.crop, group.image_size, group.interpolation)
    if drawn.flip:
        view = backend.flip(view)
    view = apply_jitter(backend, view, drawn.jitter)
    if drawn.grey:
        view = backend.grey(view)
    if drawn.blur_sigma is not None:
        view = backend.blur(view, drawn.blur_sigma)
    if drawn.solarise:
        view = backend.solarise(view, SOLARISE_FROM)
    return view


class MultiCrop:
    """All crops of an image, each drawn by itself."""

    def __init__(self, settings: MultiCropAugmentation, backend: str) -> None:
        self.groups = [group for group in settings.crops for _ in range(group.count)]
        self.backend = backend

    def __call__(self, image: Image.Image, draws: ViewDraws) -> list[Tensor]:
        """Return the crops, uint8 [3, s, s] with the s of each."""
        backend, crops = load_backend(self.backend), []
        ready = backend.prepare(image)
        for view, group in enumerate(self.groups):
            drawn = draw_crop_parameters(group, *image.size, draws(view))
            crops.append(backend.to_tensor(apply_crop_parameters(backend, ready, drawn, group)))
        return crops


def forward_by_size(encoder: nn.Module, views: list[Tensor]) -> Tensor:
    """Return the features [v·n, d] of v views, uint8 [n, 3, s, s] each, in their order.

    Neighbours of one size go through the encoder together, so that BatchNorm's statistics are those of a size.
    """
    batches = [torch.cat(list(same)) for _, same in groupby(views, key=lambda view: view.shape[-1])]
    return torch.cat([encoder(normalised(batch)) for batch in batches])
