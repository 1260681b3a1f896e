"""ResNets in torchvision's layout (He et al. 2016), without the classifier."""

from __future__ import annotations

import torchvision
from torch import nn

FEATURE_DIMS = {"resnet18": 512, "resnet50": 2048}


def build(name: str) -> nn.Module:
    """Return a fresh ResNet, images [n, 3, h, w] → features [n, d]."""
    model: nn.Module = getattr(torchvision.models, name)(weights=None)
    model.fc = nn.Identity()
    return model
