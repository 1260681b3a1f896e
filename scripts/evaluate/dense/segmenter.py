"""A fully convolutional network on one of our encoders (Long et al. 2015), as MoCo's authors evaluate segmentation.

PAPER He et al. 2020 (MoCo), appendix: two 3 x 3 convolutions with BatchNorm and ReLU behind the last stage, then a 1 x
1 convolution; stages after the chosen stride are dilated instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torchvision
from torch import Tensor, nn

from scripts.evaluate.dense.backbone import frozen_norms, with_norm
from scripts.evaluate.settings_finetuned import SegmenterRecipe
from scripts.lib.draws import derived_seed
from scripts.lib.errors import UserError

DILATED = {8: [False, True, True], 16: [False, False, True], 32: [False, False, False]}  # stages 2 to 4
IGNORED = -100  # torch's own label of pixels that do not count

Labels = npt.NDArray[np.int64]


class Segmenter(nn.Module):
    """Levels 0-1 [n, 3, h, w] → scores of classes [n, classes, h, w]."""

    mean: Tensor
    std: Tensor

    def __init__(self, body: nn.Module, head: nn.Module, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.body, self.head = body, head
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the scores at the size of the images."""
        scores: Tensor = self.head(self.body((images - self.mean) / self.std))  # [n, classes, h / stride, w / stride]
        return nn.functional.interpolate(scores, size=images.shape[2:], mode="bilinear", align_corners=False)


def build_segmenter(
    encoder: tuple[nn.Module, dict[str, Any]], recipe: SegmenterRecipe, classes: int, seed: int, world: int
) -> nn.Module:
    """Return a segmenter whose backbone has the weights of `encoder`, its head drawn by `seed`.

    Raises:
        UserError: the encoder cannot be dilated.
    """
    network, description = encoder
    body = _dilated(network, description["encoder"], recipe.output_stride)
    if recipe.norm == "frozen":
        frozen_norms(body)
    width = [each for each in body.modules() if isinstance(each, nn.Conv2d)][-1].out_channels
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, "segmenter weights"))
        head = _head(width, recipe, classes)
    return with_norm(Segmenter(body, head, description["mean"], description["std"]), recipe.norm, world)


def _dilated(network: nn.Module, name: str, stride: int) -> nn.Module:
    """Return conv1 to layer4 of a ResNet with the weights of `network`."""
    if stride < 32 and name in ("resnet18", "resnet34"):
        raise UserError(
            f"output_stride {stride} needs dilated stages, which torchvision has for ResNet-50 and larger, and this "
            f"encoder is a {name}; set output_stride of the recipe to 32, or leave the encoder out of it"
        )
    whole = getattr(torchvision.models, name)(weights=None, replace_stride_with_dilation=DILATED[stride])
    whole.fc = nn.Identity()
    whole.load_state_dict(network.state_dict())
    return nn.Sequential(*(child for part, child in whole.named_children() if part not in ("avgpool", "fc")))


def _head(width: int, recipe: SegmenterRecipe, classes: int) -> nn.Module:
    dilation, channels = recipe.head_dilation, recipe.head_channels
    layers: list[nn.Module] = []
    for before in (width, channels):
        layers += [
            nn.Conv2d(before, channels, 3, padding=dilation, dilation=dilation, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers, nn.Conv2d(channels, classes, 1))


def confusion(truth: Labels, answer: Labels, classes: int) -> Labels:
    """Return how many pixels of each true class got each answer [classes, classes]; ignored pixels do not count."""
    counted = truth != IGNORED
    places = truth[counted] * classes + answer[counted]
    return np.bincount(places, minlength=classes * classes).reshape(classes, classes)


def mean_iou(table: Labels) -> float:
    """Return the mean over classes, of those in truth or answer, of intersection over union, in per cent."""
    hits = np.diag(table)
    union = table.sum(axis=0) + table.sum(axis=1) - hits
    return 100.0 * float(np.mean(hits[union > 0] / union[union > 0]))


def pixel_accuracy(table: Labels) -> float:
    """Return the share of pixels with the right answer, in per cent."""
    return 100.0 * float(np.diag(table).sum() / table.sum())


def constant_answer(table: Labels, label: int) -> Labels:
    """Return the table of counts of who always answers `label`."""
    found = np.zeros_like(table)
    found[:, label] = table.sum(axis=1)
    return found
