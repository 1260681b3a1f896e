"""Vision transformer (Dosovitskiy et al. 2021) as DINO trains it, with the parameter names of timm.

The one feature of an image is its class token. Images of other sizes than the grid of positions was made for take
interpolated positions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

NORM_EPSILON = 1e-6  # OFFICIAL (DINO, timm)
INITIAL_DEVIATION = 0.02  # OFFICIAL
MLP_RATIO = 4


@dataclass(frozen=True)
class VitShape:
    """What tells one vision transformer from another."""

    dim: int
    depth: int
    heads: int
    patch: int  # pixels
    grid: int  # patches along a side of the image that positions are made for


VIT_SHAPES = {
    "vit_small_16": VitShape(dim=384, depth=12, heads=6, patch=16, grid=14),  # 224 pixels
    "vit_tiny_test": VitShape(dim=64, depth=2, heads=4, patch=8, grid=4),  # 32 pixels; for tests
}


def drop_path(branch: Tensor, rate: float, training: bool) -> Tensor:
    """Return the branch [n, t, d] with each image's dropped at `rate`, the others scaled so that the mean stays."""
    if rate == 0 or not training:
        return branch
    kept = torch.rand(len(branch), 1, 1, device=branch.device) >= rate  # n 1 1
    return branch / (1 - rate) * kept


class PatchEmbedding(nn.Module):
    """Each patch of an image through one linear map."""

    def __init__(self, shape: VitShape) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, shape.dim, kernel_size=shape.patch, stride=shape.patch)

    def forward(self, images: Tensor) -> Tensor:
        """[n, 3, h, w] → [n, d, h / patch, w / patch]."""
        result: Tensor = self.proj(images)
        return result


class Attention(nn.Module):
    """Multi-head self-attention, written out: the fused kernels' backward passes do not repeat their bits."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """[n, t, d] → [n, t, d]."""
        query, key, value = self.qkv(tokens).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # n h t d/h each
        weights = (query @ key.transpose(2, 3) * query.shape[-1] ** -0.5).softmax(dim=-1)  # n h t t
        result: Tensor = self.proj((weights @ value).transpose(1, 2).flatten(2))
        return result


class Mlp(nn.Module):
    """Two layers."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, MLP_RATIO * dim)
        self.fc2 = nn.Linear(MLP_RATIO * dim, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """[n, t, d] → [n, t, d]."""
        result: Tensor = self.fc2(functional.gelu(self.fc1(tokens)))
        return result


class Block(nn.Module):
    """Attention and MLP, each normalised before and added to what came in."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=NORM_EPSILON)
        self.attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=NORM_EPSILON)
        self.mlp = Mlp(dim)
        self.drop_rate = 0.0

    def forward(self, tokens: Tensor) -> Tensor:
        """[n, t, d] → [n, t, d]."""
        tokens = tokens + drop_path(self.attn(self.norm1(tokens)), self.drop_rate, self.training)
        return tokens + drop_path(self.mlp(self.norm2(tokens)), self.drop_rate, self.training)


def interpolation(grid: int, height: int, width: int) -> Tensor:
    """Return the weights [height · width, grid²] of bicubic interpolation from a square grid, as DINO takes it.

    A matrix, because torch's own backward pass of bicubic interpolation does not repeat its bits on a GPU.
    """
    # OFFICIAL: 0.1 against rounding of the size; it also shifts the places a little, and is kept for that.
    scale = ((height + 0.1) / grid, (width + 0.1) / grid)
    units = torch.eye(grid**2).view(1, grid**2, grid, grid)
    return functional.interpolate(units, scale_factor=scale, mode="bicubic")[0].flatten(1).T


class VisionTransformer(nn.Module):
    """Images [n, 3, h, w] → class tokens [n, d]."""

    def __init__(self, shape: VitShape) -> None:
        super().__init__()
        self.grid = shape.grid
        self.cls_token = nn.Parameter(torch.zeros(1, 1, shape.dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + shape.grid**2, shape.dim))
        self.patch_embed = PatchEmbedding(shape)
        self.blocks = nn.ModuleList(Block(shape.dim, shape.heads) for _ in range(shape.depth))
        self.norm = nn.LayerNorm(shape.dim, eps=NORM_EPSILON)
        for parameter in (self.pos_embed, self.cls_token):
            nn.init.trunc_normal_(parameter, std=INITIAL_DEVIATION)
        self.blocks.apply(initialise_linear)

    def set_drop_path(self, rate: float) -> None:
        """Drop paths in training: nothing in the first block, `rate` in the last, linear between."""
        for block, each in zip(self.blocks, torch.linspace(0, rate, len(self.blocks)).tolist(), strict=True):
            block.drop_rate = each

    def positions(self, height: int, width: int) -> Tensor:
        """Return the position embedding [1, 1 + height · width, d] for a grid of patches."""
        if (height, width) == (self.grid, self.grid):
            return self.pos_embed
        weights = interpolation(self.grid, height, width).to(self.pos_embed.device)
        with torch.autocast(weights.device.type, enabled=False):
            patches = weights @ self.pos_embed[:, 1:]
        return torch.cat([self.pos_embed[:, :1], patches], dim=1)

    def forward(self, images: Tensor) -> Tensor:
        """[n, 3, h, w] → [n, d]."""
        patches = self.patch_embed(images)  # n d h w
        tokens = torch.cat([self.cls_token.expand(len(images), -1, -1), patches.flatten(2).transpose(1, 2)], dim=1)
        tokens = tokens + self.positions(*patches.shape[2:])  # n 1+h·w d
        for block in self.blocks:
            tokens = block(tokens)
        result: Tensor = self.norm(tokens)[:, 0]
        return result


def initialise_linear(module: nn.Module) -> None:
    """Draw a linear layer's weights from a truncated normal distribution, its bias 0."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=INITIAL_DEVIATION)
        nn.init.zeros_(module.bias)


FEATURE_DIMS = {name: shape.dim for name, shape in VIT_SHAPES.items()}


def build(name: str) -> nn.Module:
    """Return a fresh vision transformer, images [n, 3, h, w] → features of the class token [n, d]."""
    return VisionTransformer(VIT_SHAPES[name])
