"""Weights that say what they are: a safetensors file whose one metadata text describes them."""

from __future__ import annotations

import json
import os
from typing import Any

import safetensors.torch
from safetensors import safe_open
from torch import Tensor, nn

from scripts.lib.files import replacing
from scripts.lib.recipe import canonical_json


def save_weights(path: str | os.PathLike[str], module: nn.Module, description: dict[str, Any]) -> None:
    """Write the state of a module as safetensors, whole or not at all.

    The description is one metadata text, because several keys are written in an order that changes.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(module.state_dict().items())}
    with replacing(path) as private:
        # `save_file` would leave a file that only its owner can read.
        private.write_bytes(safetensors.torch.save(tensors, metadata={"description": canonical_json(description)}))


def read_description(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what `save_weights` was told of a file.

    Raises:
        OSError, ValueError, KeyError, safetensors.SafetensorError: it is not one of ours.
    """
    with safe_open(path, framework="pt") as handle:
        description = json.loads((handle.metadata() or {})["description"])
    if not isinstance(description, dict):
        raise ValueError("its description is no mapping")
    return description


def read_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Return the tensors of a file."""
    tensors: dict[str, Tensor] = safetensors.torch.load_file(path)
    return tensors
