"""The ResNet that a dense network starts from: ours, or published weights of torchvision's layout."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from scripts.lib.encoder_names import family_of
from scripts.lib.encoders import IMAGENET_MEAN, IMAGENET_STD, build_encoder, load_encoder
from scripts.lib.errors import UserError

RESNET = "resnet"


def load_published(path: str | os.PathLike[str], encoder: str) -> tuple[nn.Module, dict[str, Any]]:
    """Return an encoder with the weights of a torchvision state dict; its classifier is left out.

    Raises:
        UserError: the file cannot be read, or is not a state dict of this network.
    """
    try:
        state = (
            safetensors.torch.load_file(path)
            if Path(path).suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
        weights = {name: tensor for name, tensor in state.items() if name not in ("fc.weight", "fc.bias")}
        model = build_encoder(encoder, seed=0)
        model.load_state_dict(weights, strict=True)
    except (AttributeError, EOFError, OSError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        raise UserError(
            f"{path} is not a state dict of torchvision's {encoder} ({str(error).splitlines()[0]}); give the .pth or "
            ".safetensors file that torchvision publishes, and its network under `encoder`"
        ) from None
    except safetensors.SafetensorError as error:
        raise UserError(f"{path} is not a safetensors file ({error})") from None
    return model.eval(), {"encoder": encoder, "mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD)}


def load_any(path: str, published: str) -> tuple[nn.Module, dict[str, Any]]:
    """Return an encoder and its description: one of ours, or published weights of the network `published`."""
    return load_published(path, published) if published else load_encoder(path)


def load_resnet(path: str, published: str) -> tuple[nn.Module, dict[str, Any]]:
    """Return `load_any`.

    Raises:
        UserError: the encoder is no ResNet.
    """
    encoder, description = load_any(path, published)
    if family_of(description["encoder"]) != RESNET:
        raise UserError(
            f"{path} is a {description['encoder']}, and detectors and segmenters here are built on ResNets: their "
            "feature pyramid takes the four stages of a convolutional network, and the official protocols of the "
            "methods use ResNet-50. A vision transformer would need a pyramid of its own (ViTDet), which is not "
            "built. Leave this encoder out of the recipe's `encoders`"
        )
    return encoder, description


def frozen_norms(module: nn.Module) -> nn.Module:
    """Replace each BatchNorm by one that keeps its statistics and weights for good; in place."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            frozen = FrozenBatchNorm2d(child.num_features, eps=child.eps)
            state = child.state_dict()
            frozen.load_state_dict({key: state[key] for key in ("weight", "bias", "running_mean", "running_var")})
            setattr(module, name, frozen)
        else:
            frozen_norms(child)
    return module


def with_norm(network: nn.Module, norm: str, world: int) -> nn.Module:
    """Return a network whose BatchNorms look at what `norm` says; `frozen` is not for this function.

    One process sees the whole batch, so there plain BatchNorm is the synchronised one.
    """
    if norm == "synchronised" and world > 1:
        synchronised: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return synchronised
    return network
