"""The networks of RetinaFace (Deng et al., CVPR 2020) from the parts of the package `retinaface-pytorch`.

`mobilenet0.25` is what PASS ran (PASSify/face/main_face_detector.py): the layout and the weights of
biubug6/Pytorch_Retinaface, BGR minus the mean. `resnet50` is the package's own network with the preprocessing of its
`predict_single.Model`, without albumentations.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from retinaface.net import FPN, SSH, conv_bn, conv_dw
from retinaface.network import BboxHead, ClassHead, LandmarkHead, RetinaFace
from torch import Tensor, nn

from scripts.filter.torch_weights import load_strictly

PRIORS_PER_CELL = 2
STRIDES = (8, 16, 32)

# Levels 0-255, red first; mobilenet0.25 has no division
MEANS = {"mobilenet0.25": (123.0, 117.0, 104.0), "resnet50": (0.485 * 255, 0.456 * 255, 0.406 * 255)}
DEVIATIONS = {"mobilenet0.25": (1.0, 1.0, 1.0), "resnet50": (0.229 * 255, 0.224 * 255, 0.225 * 255)}
BGR = "mobilenet0.25"


class MobileNetBody(nn.Module):
    """MobileNetV1 at a quarter of its width, up to the three feature maps that the pyramid takes."""

    def __init__(self) -> None:
        super().__init__()
        self.stage1 = nn.Sequential(
            conv_bn(3, 8, 2, leaky=0.1),
            conv_dw(8, 16, 1),
            conv_dw(16, 32, 2),
            conv_dw(32, 32, 1),
            conv_dw(32, 64, 2),
            conv_dw(64, 64, 1),
        )
        self.stage2 = nn.Sequential(conv_dw(64, 128, 2), *(conv_dw(128, 128, 1) for _ in range(5)))
        self.stage3 = nn.Sequential(conv_dw(128, 256, 2), conv_dw(256, 256, 1))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the maps at strides 8, 16 and 32."""
        first = self.stage1(images)  # [n, 64, h/8, w/8]
        second = self.stage2(first)  # [n, 128, h/16, w/16]
        return {"1": first, "2": second, "3": self.stage3(second)}  # the last [n, 256, h/32, w/32]


class MobileRetinaFace(nn.Module):
    """RetinaFace on `MobileNetBody`; the names of its parts are those of the published weights."""

    def __init__(self) -> None:
        super().__init__()
        self.body = MobileNetBody()
        self.fpn = FPN([64, 128, 256], 64)
        self.ssh1, self.ssh2, self.ssh3 = SSH(64, 64), SSH(64, 64), SSH(64, 64)
        self.ClassHead = nn.ModuleList(ClassHead(64, PRIORS_PER_CELL) for _ in STRIDES)
        self.BboxHead = nn.ModuleList(BboxHead(64, PRIORS_PER_CELL) for _ in STRIDES)
        self.LandmarkHead = nn.ModuleList(LandmarkHead(64, PRIORS_PER_CELL) for _ in STRIDES)  # loaded, never asked

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return box offsets [n, priors, 4] and class logits [n, priors, 2] of images [n, 3, h, w]."""
        levels = self.fpn(self.body(images))
        context = [ssh(level) for ssh, level in zip((self.ssh1, self.ssh2, self.ssh3), levels, strict=True)]
        offsets = torch.cat([head(level) for head, level in zip(self.BboxHead, context, strict=True)], dim=1)
        logits = torch.cat([head(level) for head, level in zip(self.ClassHead, context, strict=True)], dim=1)
        return offsets, logits


def build_network(backbone: str) -> nn.Module:
    """Return a RetinaFace without trained weights; its forward pass starts with (offsets, logits)."""
    if backbone == "mobilenet0.25":
        return MobileRetinaFace()
    layers = {"layer2": 1, "layer3": 2, "layer4": 3}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it names its untrained backbone in torchvision's older way
        network: nn.Module = RetinaFace("Resnet50", False, in_channels=256, return_layers=layers, out_channels=256)
    return network


class PixelsToFaces(nn.Module):
    """A RetinaFace with its preprocessing and with probabilities at its end: what one engine or another runs."""

    mean: Tensor  # [3, 1, 1]
    deviation: Tensor

    def __init__(self, network: nn.Module, backbone: str) -> None:
        super().__init__()
        self.network, self.swap, self.divide = network, backbone == BGR, backbone != BGR
        order = slice(None, None, -1) if self.swap else slice(None)
        self.register_buffer("mean", torch.tensor(MEANS[backbone][order]).reshape(3, 1, 1))
        self.register_buffer("deviation", torch.tensor(DEVIATIONS[backbone][order]).reshape(3, 1, 1))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return box offsets [n, priors, 4] and face probabilities [n, priors] of RGB images, uint8 [n, h, w, 3]."""
        images = pixels.permute(0, 3, 1, 2)  # [n, 3, h, w]
        images = (images[:, [2, 1, 0]] if self.swap else images).float() - self.mean
        if self.divide:
            images = images / self.deviation
        offsets, logits = self.network(images.contiguous(memory_format=torch.channels_last))[:2]
        return offsets, logits.softmax(dim=-1)[:, :, 1]


def load_network(backbone: str, weights: Path | None) -> PixelsToFaces:
    """Return the network with the weights of a state dict, in eval mode; see `load_strictly` for errors."""
    network = load_strictly(build_network(backbone), weights, f"RetinaFace {backbone}")
    return PixelsToFaces(network, backbone).eval()
