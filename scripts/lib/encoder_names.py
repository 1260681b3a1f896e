"""Names of encoders, apart from their networks, so that planning needs no torch."""

from __future__ import annotations

import re


def family_of(encoder: str) -> str:
    """Return the family of an encoder, which is the name of its module: resnet50 → resnet, vit_small_16 → vit."""
    return re.sub(r"[^a-z].*", "", encoder)
