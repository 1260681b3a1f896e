"""The file between `embed` and the protocols: features and labels of both splits, and what they are of."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

import safetensors
import safetensors.torch
import torch

from scripts.lib.errors import UserError
from scripts.lib.files import replacing
from scripts.lib.recipe import canonical_json

_TENSORS = ("train_features", "train_labels", "test_features", "test_labels")


@dataclass(frozen=True)
class Features:
    """Features of a labelled set under one encoder."""

    train_features: torch.Tensor  # [n, d] float32
    train_labels: torch.Tensor  # [n] int64
    test_features: torch.Tensor  # [m, d] float32
    test_labels: torch.Tensor  # [m] int64
    description: dict[str, Any]  # {"task": name, "class_names": [...], "encoder": description of the encoder}

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.description["class_names"])


def save_features(path: str | os.PathLike[str], features: Features) -> None:
    """Write features as safetensors, their description as one metadata text."""
    tensors = {
        "train_features": features.train_features,
        "train_labels": features.train_labels,
        "test_features": features.test_features,
        "test_labels": features.test_labels,
    }
    with replacing(path) as private:
        safetensors.torch.save_file(tensors, private, metadata={"description": canonical_json(features.description)})
        private.chmod(0o644)  # `save_file` leaves a file that only its owner can read


def load_features(path: str | os.PathLike[str]) -> Features:
    """Read what `save_features` wrote.

    Raises:
        UserError: the file is not of `save_features`.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as handle:
            description = json.loads((handle.metadata() or {})["description"])
        tensors = safetensors.torch.load_file(path)
        return Features(**{name: tensors[name] for name in _TENSORS}, description=description)
    except (KeyError, OSError, ValueError, safetensors.SafetensorError) as error:
        raise UserError(f"{path} is not a file of features ({error}); make it again with the rule `embed`") from None


def best_device() -> torch.device:
    """Return the GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
