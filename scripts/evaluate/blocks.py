"""What a network gives for a batch of images: its features, and the tokens of a ViT's last blocks where asked for."""

from __future__ import annotations

import torch
from torch import nn


class FeatureTaps:
    """Calls a network and collects, beside its features, what DINO's linear evaluation reads (`eval_linear.py`).

    A ViT is known by its `blocks` and `norm`, as in timm and in scripts/lib/architectures/vit.py; other networks have
    features only.
    """

    def __init__(self, network: nn.Module, last_blocks: int | None) -> None:
        self._network = network
        self._tokens: list[torch.Tensor] = []
        blocks, self._norm = getattr(network, "blocks", None), getattr(network, "norm", None)
        self.taps = (
            last_blocks is not None
            and isinstance(blocks, nn.ModuleList)
            and isinstance(self._norm, nn.Module)
            and isinstance(getattr(network, "cls_token", None), nn.Parameter)
        )
        if self.taps:
            assert isinstance(blocks, nn.ModuleList)
            for block in blocks[-(last_blocks or 1) :]:
                block.register_forward_hook(self._keep)

    def _keep(self, module: nn.Module, inputs: object, output: torch.Tensor) -> None:
        self._tokens.append(output)

    def __call__(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """[n, 3, h, w] → features [n, d]; and blocks [n, k, d], patches [n, d] of a ViT."""
        self._tokens.clear()
        found = {"features": self._network(images)}
        if self.taps:
            assert isinstance(self._norm, nn.Module)
            normed = [self._norm(tokens) for tokens in self._tokens]  # each [n, 1 + patches, d]
            found["blocks"] = torch.stack([tokens[:, 0] for tokens in normed], dim=1)
            found["patches"] = normed[-1][:, 1:].mean(dim=1)
        return found
