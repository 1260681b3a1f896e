"""The ResNet that a dense network starts from."""

from __future__ import annotations

from typing import Any

from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from scripts.lib.encoder_names import family_of
from scripts.lib.encoders import load_encoder
from scripts.lib.errors import UserError

RESNET = "resnet"


def load_resnet(path: str) -> tuple[nn.Module, dict[str, Any]]:
    """Return an encoder and its description.

    Raises:
        UserError: the encoder is no ResNet.
    """
    encoder, description = load_encoder(path)
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
