"""A detector of torchvision that was trained on COCO; only its person class is kept."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from torch import nn

from scripts.filter.boxes import Boxes, as_boxes
from scripts.filter.settings import TorchvisionDetector
from scripts.filter.torch_weights import choose_device, load_strictly
from scripts.lib.errors import UserError
from scripts.lib.images import Pixels

LOG = logging.getLogger(__name__)

PERSON = 1  # COCO's category; 0 is background


def build_network(settings: TorchvisionDetector) -> nn.Module:
    """Return the network of `settings.model`, untrained, that scales images as the settings say and reports low scores.

    Raises:
        UserError: torchvision has no such detector.
    """
    known = torchvision.models.list_models(module=torchvision.models.detection)
    if settings.model not in known:
        raise UserError(
            f"torchvision {torchvision.__version__} has no detector {settings.model} (detector {settings.name}); "
            f"it has {', '.join(known)}"
        )
    network: nn.Module = torchvision.models.get_model(settings.model, weights=None, weights_backbone=None)
    # The arguments of the constructors differ from model to model; what they set does not.
    scaling: Any = network.transform
    if scaling.fixed_size is None:
        scaling.min_size, scaling.max_size = (settings.min_side,), settings.max_side
    else:
        LOG.info("%s scales every image to %s; min_side and max_side do not apply", settings.model, scaling.fixed_size)
    head: Any = network.roi_heads if hasattr(network, "roi_heads") else network
    head.score_thresh = settings.score_floor
    return network


class TorchvisionRunner:
    """A loaded torchvision detector."""

    def __init__(self, settings: TorchvisionDetector, network: nn.Module, device: torch.device) -> None:
        self.settings = settings
        self.device = device
        self.network = network.to(device)
        self.scaling: Any = network.transform

    def detect(self, images: list[Pixels], scale: float = 1.0) -> list[Boxes]:
        """Return the people of images of equal size (unequal ones would be padded to each other's size)."""
        if self.scaling.fixed_size is None:
            sides = (self.settings.min_side * scale, self.settings.max_side * scale)
            self.scaling.min_size, self.scaling.max_size = (round(sides[0]),), round(sides[1])
        batch = [
            torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).to(self.device).float() / 255.0
            for image in images
        ]
        with torch.inference_mode():
            results = self.network(batch)
        found = []
        for result in results:
            people = result["labels"] == PERSON
            corners, scores = result["boxes"][people].cpu().numpy(), result["scores"][people].cpu().numpy()
            found.append(as_boxes(corners, scores, self.settings.score_floor))
        return found


def load_detector(settings: TorchvisionDetector, weights: Path | None, threads: int) -> TorchvisionRunner:
    """Return the detector of `settings` with the weights of a state dict; see `load_strictly` for errors."""
    device = choose_device(threads)
    network = load_strictly(build_network(settings), weights, f"torchvision's {settings.model}")
    scaling: Any = network.transform
    if settings.views is not None and scaling.fixed_size is not None and set(settings.views.scales) != {1.0}:
        raise UserError(
            f"the detector {settings.name} ({settings.model}) scales every picture to {scaling.fixed_size} pixels, so "
            "views.scales can only be [1.0]: give it views.tiles, or take another model"
        )
    return TorchvisionRunner(settings, network, device)
