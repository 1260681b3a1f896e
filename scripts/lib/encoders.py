"""Encoders: how they are built, saved and loaded, without the classifier.

ResNets have torchvision's layout, vision transformers timm's (scripts/lib/architectures/). A family is loaded by name,
so that the fingerprint of a run covers its own family alone.
"""

from __future__ import annotations

import importlib
import os
from types import ModuleType
from typing import Any

import safetensors
import torch
from torch import nn

from scripts.lib.described_weights import read_description, read_weights, save_weights
from scripts.lib.draws import derived_seed
from scripts.lib.encoder_names import family_of
from scripts.lib.errors import UserError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def architecture(encoder: str) -> ModuleType:
    """Return the module of an encoder's family.

    Raises:
        ValueError: there is no such encoder.
    """
    family = family_of(encoder)
    try:
        module = importlib.import_module(f"scripts.lib.architectures.{family}")
    except ModuleNotFoundError:
        raise ValueError(f"unknown encoder {encoder}") from None
    if encoder not in module.FEATURE_DIMS:
        raise ValueError(f"unknown encoder {encoder}")
    return module


def feature_dim(encoder: str) -> int:
    """Return the width of an encoder's features."""
    dim: int = architecture(encoder).FEATURE_DIMS[encoder]
    return dim


def build_encoder(name: str, seed: int) -> nn.Module:
    """Return a fresh encoder, images [n, 3, h, w] → features [n, d], its weights a function of (name, seed)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, "encoder weights", name))
        model: nn.Module = architecture(name).build(name)
    return model


def save_encoder(path: str | os.PathLike[str], encoder: nn.Module, description: dict[str, Any]) -> None:
    """Write weights as safetensors.

    `description` needs the key `encoder` (a name that `build_encoder` knows) and should say the run and its input's
    `mean`, `std` and `image_size`.
    """
    architecture(description["encoder"])
    save_weights(path, encoder, description)


def load_encoder(path: str | os.PathLike[str]) -> tuple[nn.Module, dict[str, Any]]:
    """Return an encoder in eval mode and its description.

    Raises:
        UserError: the file is not one that `save_encoder` wrote, or its tensors do not fit the encoder that it names.
    """
    try:
        description = read_description(path)
        encoder = build_encoder(description["encoder"], seed=0)
        encoder.load_state_dict(read_weights(path), strict=True)
    except (KeyError, OSError, RuntimeError, ValueError, safetensors.SafetensorError) as error:
        raise UserError(
            f"{path} is not an encoder of this project ({error}); make it again with the rule `train`, or "
            "`import_encoder` when it was not trained here"
        ) from None
    return encoder.eval(), description
