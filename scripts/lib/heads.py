"""Projection heads: how `train` leaves one beside its encoder, and how it is built again from its file alone.

A head is a chain of layers of a few kinds. The file describes them, so whoever reads it needs no method: [n, d] → [n,
p], before the method scales the rows to length 1.
"""

from __future__ import annotations

import os
from typing import Any

import safetensors
import torch
from torch import Tensor, nn
from torch.nn import functional

from scripts.lib.described_weights import read_description, read_weights, save_weights
from scripts.lib.errors import UserError

Layer = dict[str, Any]  # "kind" and what that kind needs


class NormedLinear(nn.Module):
    """Cosines of the input with `dim` learnt directions, without bias: [n, width] → [n, dim]."""

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(functional.normalize(torch.rand(width, dim) * 2 - 1, dim=0))  # OFFICIAL (CLD)

    def forward(self, features: Tensor) -> Tensor:
        """Return the cosines."""
        return functional.normalize(features, dim=1) @ functional.normalize(self.weight, dim=0)


def describe_head(head: nn.Sequential) -> list[Layer]:
    """Return the layers of a head, in order.

    Raises:
        TypeError: it has a layer of another kind than those below.
    """
    return [_describe(layer) for layer in head]


def _describe(layer: nn.Module) -> Layer:
    if isinstance(layer, nn.Linear):
        bias = layer.bias is not None
        return {"kind": "linear", "inputs": layer.in_features, "outputs": layer.out_features, "bias": bias}
    if isinstance(layer, NormedLinear):
        return {"kind": "normed_linear", "inputs": layer.weight.shape[0], "outputs": layer.weight.shape[1]}
    if isinstance(layer, nn.modules.batchnorm._BatchNorm):  # synchronised ones too: in eval mode they are the same
        return {"kind": "batch_norm", "width": layer.num_features, "epsilon": layer.eps}
    if isinstance(layer, nn.ReLU):
        return {"kind": "relu"}
    if isinstance(layer, nn.GELU) and layer.approximate == "none":
        return {"kind": "gelu"}
    raise TypeError(f"a head cannot hold {layer}; scripts/lib/heads.py has the kinds of layers that it can")


def _build(layer: Layer) -> nn.Module:
    match layer:
        case {"kind": "linear", "inputs": int(inputs), "outputs": int(outputs), "bias": bool(bias)}:
            return nn.Linear(inputs, outputs, bias=bias)
        case {"kind": "normed_linear", "inputs": int(inputs), "outputs": int(outputs)}:
            return NormedLinear(inputs, outputs)
        case {"kind": "batch_norm", "width": int(width), "epsilon": float(epsilon)}:
            return nn.BatchNorm1d(width, eps=epsilon)
        case {"kind": "relu"}:
            return nn.ReLU()
        case {"kind": "gelu"}:
            return nn.GELU()
    raise ValueError(f"it has a layer that is not known here: {layer}")


def save_head(path: str | os.PathLike[str], head: nn.Sequential, description: dict[str, Any]) -> None:
    """Write a head as safetensors; its description is that of its encoder and the layers."""
    save_weights(path, head, {**description, "layers": describe_head(head)})


def load_head(path: str | os.PathLike[str]) -> tuple[nn.Sequential, dict[str, Any]]:
    """Return a head in eval mode and its description.

    Raises:
        UserError: the file is not one that `save_head` wrote, or its tensors do not fit its layers.
    """
    try:
        description = read_description(path)
        with torch.random.fork_rng(devices=[]):  # fresh weights are drawn and overwritten
            head = nn.Sequential(*(_build(layer) for layer in description["layers"]))
        head.load_state_dict(read_weights(path), strict=True)
    except (KeyError, OSError, RuntimeError, TypeError, ValueError, safetensors.SafetensorError) as error:
        raise UserError(
            f"{path} is not a projection head of this project ({error}); make it again with the rule `train`"
        ) from None
    return head.eval(), description
