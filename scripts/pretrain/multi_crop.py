"""Crops of several sizes of an image, one forward pass for each size, and the loss between them (SwAV section 3.2, as
DINO uses it too).
"""

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


def cross_entropy_of_others(targets: Tensor, log_p: Tensor) -> Tensor:
    """Return the cross-entropy of each target with each other crop's prediction, averaged over images and pairs.

    The sum over pairs (i, j) of q_i · log p_j, without i = j, is (sum of q) · (sum of log p) less the sum of
    q_i · log p_i: 1 + t products of [n, k] in the place of t (v - 1).

    Args:
        targets: [t, n, k], of the first t crops; rows of sum 1.
        log_p: [v, n, k], logarithms of the predictions for all crops.
    """
    t, v, images = len(targets), len(log_p), log_p.shape[1]
    all_pairs = (targets.sum(dim=0) * log_p.sum(dim=0)).sum()
    same_crop = (targets * log_p[:t]).sum()
    return (same_crop - all_pairs) / (t * (v - 1) * images)
