"""RetinaFace (Deng et al., CVPR 2020), single-stage face detector, from the parts of the package `retinaface-pytorch`.

`mobilenet0.25` is what PASS ran (PASSify/face/main_face_detector.py): the layout and the weights of
biubug6/Pytorch_Retinaface, BGR minus the mean, native resolution. `resnet50` is the package's own network with the
preprocessing of its `predict_single.Model`, without albumentations.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch
from retinaface.box_utils import decode
from retinaface.net import FPN, SSH, conv_bn, conv_dw
from retinaface.network import BboxHead, ClassHead, LandmarkHead, RetinaFace
from retinaface.prior_box import priorbox
from torch import Tensor, nn
from torchvision.ops import nms

from scripts.filter.boxes import Boxes, as_boxes
from scripts.filter.settings import RetinaFaceDetector
from scripts.filter.torch_weights import choose_device, load_strictly
from scripts.lib.images import Pixels

# PAPER's released code (data/config.py, cfg_mnet): two square priors at each of three strides
MIN_SIZES = [[16, 32], [64, 128], [256, 512]]  # pixels
STEPS = [8, 16, 32]  # pixels
VARIANCES = [0.1, 0.2]
PRIORS_PER_CELL = 2

BGR_MEAN = (104.0, 117.0, 123.0)  # mobilenet0.25: levels 0-255, no division
RGB_MEAN = (0.485, 0.456, 0.406)  # resnet50: albumentations.Normalize, levels 0-1
RGB_STD = (0.229, 0.224, 0.225)


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
        self.ClassHead = nn.ModuleList(ClassHead(64, PRIORS_PER_CELL) for _ in STEPS)
        self.BboxHead = nn.ModuleList(BboxHead(64, PRIORS_PER_CELL) for _ in STEPS)
        self.LandmarkHead = nn.ModuleList(LandmarkHead(64, PRIORS_PER_CELL) for _ in STEPS)  # loaded, never asked

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


@lru_cache(maxsize=8)  # images come sorted by size
def priors_of(height: int, width: int) -> Tensor:
    """Return the priors of an image size: [n, 4], centre x, y, width, height as shares of the image."""
    priors: Tensor = priorbox(MIN_SIZES, STEPS, clip=False, image_size=(height, width))
    return priors


class RetinaFaceRunner:
    """A loaded RetinaFace."""

    def __init__(self, settings: RetinaFaceDetector, network: nn.Module, device: torch.device) -> None:
        self.settings = settings
        self.device = device
        self.network = network.to(device).to(memory_format=torch.channels_last)

    def _prepare(self, image: Pixels, scale: float) -> Tensor:
        """Return float32 [3, h, w] as the backbone wants it."""
        height, width = image.shape[:2]
        if self.settings.max_side is not None:
            scale *= self.settings.max_side / max(height, width)
        if scale != 1:
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)
        ready = image.astype(np.float32)
        if self.settings.backbone == "mobilenet0.25":
            ready = ready[:, :, ::-1] - np.array(BGR_MEAN, np.float32)
        else:
            ready -= np.array(RGB_MEAN, np.float32) * np.float32(255)
            ready /= np.array(RGB_STD, np.float32) * np.float32(255)
        return torch.from_numpy(np.ascontiguousarray(ready.transpose(2, 0, 1)))

    def detect(self, images: list[Pixels], scale: float = 1.0) -> list[Boxes]:
        """Return the faces of images of equal size."""
        height, width = images[0].shape[:2]
        batch = torch.stack([self._prepare(image, scale) for image in images]).to(
            self.device, memory_format=torch.channels_last
        )
        rows, columns = batch.shape[2:]
        with torch.inference_mode():
            offsets, logits = self.network(batch)[:2]
            scores = logits.softmax(dim=-1)[:, :, 1]  # [n, priors]
            priors = priors_of(rows, columns).to(self.device)
            if not torch.isfinite(scores).all():
                raise ValueError("the network returned numbers that are not finite")
            return [
                self._boxes(each_offsets, each_scores, priors, width, height)
                for each_offsets, each_scores in zip(offsets, scores, strict=True)
            ]

    def _boxes(self, offsets: Tensor, scores: Tensor, priors: Tensor, width: int, height: int) -> Boxes:
        found = scores >= self.settings.score_floor
        corners = decode(offsets[found], priors[found], VARIANCES)  # [n, 4], shares of the image
        corners = corners * torch.tensor([width, height, width, height], device=self.device)
        kept = nms(corners, scores[found], self.settings.nms)
        return as_boxes(corners[kept].cpu().numpy(), scores[found][kept].cpu().numpy(), self.settings.score_floor)


def load_detector(settings: RetinaFaceDetector, weights: Path | None, threads: int) -> RetinaFaceRunner:
    """Return the detector of `settings` with the weights of a state dict; see `load_strictly` for errors."""
    device = choose_device(threads)
    network = load_strictly(build_network(settings.backbone), weights, f"RetinaFace {settings.backbone}")
    return RetinaFaceRunner(settings, network, device)
