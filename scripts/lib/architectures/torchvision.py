"""The other ResNets of torchvision, for weights from elsewhere; ours are in `resnet`."""

from __future__ import annotations

import torchvision
from torch import nn

_WIDTHS = {"resnet34": 512}
_NAMES = (
    "resnet34", "resnet101", "resnet152", "resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d", "wide_resnet50_2",
    "wide_resnet101_2",
)  # fmt: skip
FEATURE_DIMS = {f"torchvision/{name}": _WIDTHS.get(name, 2048) for name in _NAMES}


def build(name: str) -> nn.Module:
    """Return a fresh ResNet, images [n, 3, h, w] → features [n, d]."""
    model: nn.Module = getattr(torchvision.models, name.removeprefix("torchvision/"))(weights=None)
    model.fc = nn.Identity()
    return model
