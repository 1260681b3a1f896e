from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import VisionTransformer as TorchvisionVit

from scripts.lib.architectures.vit import VIT_SHAPES, VisionTransformer, drop_path, interpolation
from scripts.lib.encoders import build_encoder, feature_dim, load_encoder, save_encoder


def images(count: int, height: int, width: int) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(0))


def torchvisions(vit: VisionTransformer, name: str) -> nn.Module:
    """torchvision's network with our weights."""
    shape = VIT_SHAPES[name]
    theirs = TorchvisionVit(
        image_size=shape.grid * shape.patch, patch_size=shape.patch, num_layers=shape.depth, num_heads=shape.heads,
        hidden_dim=shape.dim, mlp_dim=4 * shape.dim,
    )  # fmt: skip
    names = {
        "class_token": "cls_token", "encoder.pos_embedding": "pos_embed", "conv_proj.": "patch_embed.proj.",
        "encoder.ln.": "norm.", "encoder.layers.encoder_layer_": "blocks.", "ln_1": "norm1", "ln_2": "norm2",
        "self_attention.in_proj_": "attn.qkv.", "self_attention.out_proj": "attn.proj", "mlp.0": "mlp.fc1",
        "mlp.3": "mlp.fc2",
    }  # fmt: skip
    theirs.heads = nn.Identity()
    state = {}
    for key in theirs.state_dict():
        ours = key
        for old, new in names.items():
            ours = ours.replace(old, new)
        state[key] = vit.state_dict()[ours]
    theirs.load_state_dict(state)
    return theirs


@pytest.mark.parametrize("name", sorted(VIT_SHAPES))
def test_features_are_torchvisions_with_the_same_weights(name: str) -> None:
    vit = build_encoder(name, 0)
    assert isinstance(vit, VisionTransformer)
    with torch.no_grad():
        for parameter in vit.parameters():  # biases and norms too
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
        theirs = torchvisions(vit, name)
        side = VIT_SHAPES[name].grid * VIT_SHAPES[name].patch
        batch = images(2, side, side)
        assert torch.allclose(vit.eval()(batch), theirs.eval()(batch), atol=1e-4)
    assert sum(p.numel() for p in vit.parameters()) == sum(p.numel() for p in theirs.parameters())


def test_names_are_timms_and_vit_small_has_its_size() -> None:
    vit = build_encoder("vit_small_16", 0)
    names = set(vit.state_dict())
    block = ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
    layers = ["norm", "patch_embed.proj", *(f"blocks.{number}.{each}" for number in range(12) for each in block)]
    assert names == {"cls_token", "pos_embed", *(f"{each}.{kind}" for each in layers for kind in ("weight", "bias"))}
    assert sum(each.numel() for each in vit.parameters()) == 21_665_664  # timm: 22,050,664 less the classifier
    assert feature_dim("vit_small_16") == 384 and vit(images(1, 96, 96)).shape == (1, 384)


def test_initial_weights_are_a_function_of_the_seed() -> None:
    first, second, other = (build_encoder("vit_tiny_test", seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert not torch.equal(first["blocks.0.attn.qkv.weight"], other["blocks.0.attn.qkv.weight"])
    assert float(first["blocks.1.mlp.fc1.weight"].std()) == pytest.approx(0.02, rel=0.03)
    assert not first["blocks.1.mlp.fc1.bias"].any() and bool((first["norm.weight"] == 1).all())


@pytest.mark.parametrize(("grid", "height", "width"), [(14, 6, 6), (4, 2, 2), (4, 9, 3), (4, 4, 5)])
def test_positions_are_interpolated_as_dino_does(grid: int, height: int, width: int) -> None:
    positions = torch.randn(1, grid**2, 7, generator=torch.Generator().manual_seed(0))
    as_image = positions.view(1, grid, grid, 7).permute(0, 3, 1, 2)
    scale = ((height + 0.1) / grid, (width + 0.1) / grid)
    expected = functional.interpolate(as_image, scale_factor=scale, mode="bicubic")
    assert expected.shape[2:] == (height, width)
    found = interpolation(grid, height, width) @ positions
    assert torch.allclose(found, expected.flatten(2).transpose(1, 2), atol=1e-5)


def test_the_class_token_keeps_its_position_and_the_own_grid_is_untouched() -> None:
    vit = build_encoder("vit_tiny_test", 0)
    assert isinstance(vit, VisionTransformer)
    assert vit.positions(4, 4) is vit.pos_embed
    other = vit.positions(2, 3)
    assert other.shape == (1, 7, 64) and torch.equal(other[:, 0], vit.pos_embed[:, 0])
    other.sum().backward()
    assert vit.pos_embed.grad is not None and bool(vit.pos_embed.grad.any(dim=2).all())


def test_drop_path_drops_whole_images_and_keeps_the_mean() -> None:
    branch = torch.ones(4000, 3, 2)
    assert drop_path(branch, 0.3, training=False) is branch and drop_path(branch, 0.0, training=True) is branch
    torch.manual_seed(0)
    dropped = drop_path(branch, 0.3, training=True)
    values = dropped.flatten(1)
    assert bool((values == values[:, :1]).all())  # an image's branch is kept or dropped as a whole
    assert values.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert float((values[:, 0] == 0).float().mean()) == pytest.approx(0.3, abs=0.03)


def test_drop_path_rises_with_depth_and_acts_in_training_only() -> None:
    vit = build_encoder("vit_tiny_test", 0)
    assert isinstance(vit, VisionTransformer)
    batch = images(16, 32, 32)
    plain = vit.train()(batch)
    assert torch.equal(plain, vit.eval()(batch))
    vit.set_drop_path(0.5)
    assert [block.drop_rate for block in vit.blocks] == [0.0, 0.5]
    assert torch.equal(plain, vit.eval()(batch))
    torch.manual_seed(0)
    first = vit.train()(batch)
    torch.manual_seed(0)
    assert torch.equal(first, vit(batch)) and not torch.equal(first, plain)


def test_saved_and_loaded(tmp_path: Path) -> None:
    vit = build_encoder("vit_tiny_test", 3)
    save_encoder(tmp_path / "encoder", vit, {"encoder": "vit_tiny_test"})
    loaded, _ = load_encoder(tmp_path / "encoder")
    assert torch.equal(loaded(images(2, 64, 48)), vit.eval()(images(2, 64, 48)))
