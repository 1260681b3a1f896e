"""Encoders: how they are built, saved and loaded, without the classifier.

ResNets have torchvision's layout, vision transformers timm's (scripts/lib/vit.py).
"""

from __future__ import annotations

import json
import os
from typing import Any

import safetensors.torch
import torch
import torchvision
from safetensors import safe_open
from torch import nn

from scripts.lib.draws import derived_seed
from scripts.lib.errors import UserError
from scripts.lib.files import replacing
from scripts.lib.recipe import canonical_json
from scripts.lib.vit import VIT_SHAPES, VisionTransformer

FEATURE_DIMS = {"resnet18": 512, "resnet50": 2048, **{name: shape.dim for name, shape in VIT_SHAPES.items()}}
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def build_encoder(name: str, seed: int) -> nn.Module:
    """Return a fresh encoder, images [n, 3, h, w] → features [n, d], its weights a function of (name, seed)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, "encoder weights", name))
        if name in VIT_SHAPES:
            return VisionTransformer(VIT_SHAPES[name])
        model: nn.Module = getattr(torchvision.models, name)(weights=None)
    model.fc = nn.Identity()
    return model


def save_encoder(path: str | os.PathLike[str], encoder: nn.Module, description: dict[str, Any]) -> None:
    """Write weights as safetensors.

    `description` needs the key `encoder` (a name of `FEATURE_DIMS`) and should say the run and its input's `mean`,
    `std` and `image_size`. It is stored as one metadata text, because several keys are written in an order that
    changes.
    """
    if description["encoder"] not in FEATURE_DIMS:
        raise ValueError(f"unknown encoder {description['encoder']}")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(encoder.state_dict().items())}
    with replacing(path) as private:
        # `save_file` would leave a file that only its owner can read.
        private.write_bytes(safetensors.torch.save(tensors, metadata={"description": canonical_json(description)}))


def load_encoder(path: str | os.PathLike[str]) -> tuple[nn.Module, dict[str, Any]]:
    """Return an encoder in eval mode and its description.

    Raises:
        UserError: the file is not one that `save_encoder` wrote, or its tensors do not fit the encoder that it names.
    """
    try:
        with safe_open(path, framework="pt") as handle:
            description = json.loads((handle.metadata() or {})["description"])
        encoder = build_encoder(description["encoder"], seed=0)
        encoder.load_state_dict(safetensors.torch.load_file(path), strict=True)
    except (KeyError, OSError, RuntimeError, ValueError, safetensors.SafetensorError) as error:
        raise UserError(
            f"{path} is not an encoder of this project ({error}); make it again with the rule `train`"
        ) from None
    return encoder.eval(), description
