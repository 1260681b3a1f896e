"""Names of encoders, apart from their networks, so that planning needs no torch."""

from __future__ import annotations

import re

HOUSE = ("resnet18", "resnet50", "resnet18_cifar", "vit_small_16", "resnet_tiny_test", "vit_tiny_test")
ELSEWHERE = re.compile(r"torchvision/(wide_)?resne[x]?t[0-9a-z_]+|timm/[a-z0-9_]+(\.[a-z0-9_]+)?")


def family_of(encoder: str) -> str:
    """Return the family of an encoder, which is the name of its module: resnet50 → resnet, timm/resnet26 → timm."""
    return re.sub(r"[^a-z].*", "", encoder)


def is_encoder_name(encoder: str) -> bool:
    """Return whether an encoder can have this name; whether timm knows the model shows when it is built."""
    return encoder in HOUSE or ELSEWHERE.fullmatch(encoder) is not None


def plain_name(encoder: str) -> str:
    """Return a network's name as part of a file's, without the tag of its weights: timm/vit.dino → timm_vit."""
    return re.sub(r"[^a-z0-9_]", "_", encoder.partition(".")[0])
