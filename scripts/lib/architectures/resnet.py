"""ResNets in torchvision's layout (He et al. 2016), without the classifier.

`resnet18_cifar` is for pictures of 32 pixels, as all published CIFAR figures have it: torchvision's `resnet18` with a
first convolution of 3 x 3 and stride 1, and without the max-pooling after it.
"""

from __future__ import annotations

from collections import OrderedDict

import torchvision
from torch import nn
from torchvision.models.resnet import BasicBlock

FEATURE_DIMS = {"resnet18": 512, "resnet50": 2048, "resnet18_cifar": 512, "resnet_tiny_test": 32}
SMALL_STEM = "_cifar"


def tiny() -> nn.Module:
    """Return two blocks in the manner of a ResNet, 14 thousand parameters; for tests."""
    downsample = nn.Sequential(nn.Conv2d(16, 32, 1, stride=2, bias=False), nn.BatchNorm2d(32))
    layers = {
        "conv1": nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False),
        "bn1": nn.BatchNorm2d(16),
        "relu": nn.ReLU(inplace=True),
        "layer1": BasicBlock(16, 16),
        "layer2": BasicBlock(16, 32, stride=2, downsample=downsample),
        "avgpool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
    }
    return nn.Sequential(OrderedDict(layers))


def build(name: str) -> nn.Module:
    """Return a fresh ResNet, images [n, 3, h, w] → features [n, d]."""
    if name == "resnet_tiny_test":
        return tiny()
    model: nn.Module = getattr(torchvision.models, name.removesuffix(SMALL_STEM))(weights=None)
    if name.endswith(SMALL_STEM):
        model.conv1 = nn.Conv2d(3, 64, kernel_size=3, padding=1, bias=False)
        nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")  # as torchvision's own
        model.maxpool = nn.Identity()
    model.fc = nn.Identity()
    return model
