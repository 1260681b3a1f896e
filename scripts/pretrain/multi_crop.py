"""Crops of several sizes of an image, and one forward pass for each size (SwAV section 3.2, as DINO uses it too)."""

from __future__ import annotations

from itertools import groupby

import torch
from torch import Tensor, nn

from scripts.lib.draws import Uniform
from scripts.lib.images import Pixels
from scripts.pretrain.augment import between, draw_crop, draw_jitter, view_maker
from scripts.pretrain.backend import View, ViewParameters
from scripts.pretrain.contract import ViewDraws, normalised
from scripts.pretrain.settings_multicrop import CropGroup, MultiCropAugmentation


def draw_crop_parameters(group: CropGroup, width: int, height: int, uniform: Uniform) -> ViewParameters:
    """Draw one crop of an image of `width` x `height` pixels."""
    return ViewParameters(
        crop=draw_crop(width, height, group.crop_scale, uniform),
        flip=uniform() < group.flip_probability,
        jitter=draw_jitter(group.jitter, uniform) if uniform() < group.jitter_probability else (),
        grey=uniform() < group.grey_probability,
        blur_sigma=between(*group.blur_sigma, uniform) if uniform() < group.blur_probability else None,
        solarise=uniform() < group.solarise_probability,
    )


class MultiCrop:
    """All crops of an image, each drawn by itself."""

    def __init__(self, settings: MultiCropAugmentation, backend: str) -> None:
        self.groups = [group for group in settings.crops for _ in range(group.count)]
        self.backend = backend

    def __call__(self, image: Pixels, draws: ViewDraws) -> list[View]:
        """Return the crops of an image [h, w, 3], each of its own size."""
        height, width, _ = image.shape
        make, crops = view_maker(self.backend, image), []
        for view, group in enumerate(self.groups):
            drawn = draw_crop_parameters(group, width, height, draws(view))
            crops.append(make(drawn, group.image_size, group.interpolation, group.blur_sigma[1]))
        return crops


def forward_by_size(encoder: nn.Module, views: list[Tensor]) -> Tensor:
    """Return the features [v·n, d] of v views, uint8 [n, 3, s, s] each, in their order.

    Neighbours of one size go through the encoder together, so that BatchNorm's statistics are those of a size.
    """
    batches = [torch.cat(list(same)) for _, same in groupby(views, key=lambda view: view.shape[-1])]
    return torch.cat([encoder(normalised(batch)) for batch in batches])
