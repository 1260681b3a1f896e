"""encoder.safetensors outside of this project: torchvision and timm load it strictly and give the same features."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
import timm
import torch
from safetensors.torch import load_file
from timm.models.vision_transformer import VisionTransformer as TimmVit
from torch import Tensor, nn

from scripts.lib.architectures.vit import VIT_SHAPES
from scripts.lib.encoders import load_encoder
from scripts.pretrain.run_base import RunBase
from scripts.pretrain.train import main
from tests.conftest import ROOT
from tests.pretrain.made import flags, make_shards, recipe

ENCODERS = get_args(RunBase.model_fields["encoder"].annotation)
TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """By encoder, the folder that `train` left after two steps."""
    shards = make_shards(tmp_path_factory.mktemp("shards"), 8)

    @cache
    def train(encoder: str) -> Path:
        out = tmp_path_factory.mktemp(encoder)
        small = {"batch_size": 4, "queue_size": 8, "epochs": 1, "learning_rate": 0.001, "bn_splits": 1}
        main(flags(shards, out, recipe(encoder=encoder, **small)))
        return out

    return train


def snippets() -> dict[str, str]:
    return dict(re.findall(r"^```python (\w+)\n(.*?)^```", (ROOT / "docs/encoders.md").read_text(), re.M | re.S))


def run_snippet(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **replaced: str) -> dict[str, Any]:
    """Run a block of docs/encoders.md in `folder` and return its names."""
    text = snippets()[name]
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    exec(compile(text, f"docs/encoders.md, {name}", "exec"), names)
    return names


def images(side: int, width: int | None = None) -> Tensor:
    return torch.randn(2, 3, side, width or side, generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
def difference(ours: nn.Module, theirs: nn.Module, batch: Tensor) -> float:
    """The largest difference of a feature, as a share of the largest feature."""
    found, expected = theirs(batch), ours(batch)
    assert found.shape == expected.shape and float(expected.std()) > 0.01
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.fixture
def plain_attention() -> Any:
    timm.layers.set_fused_attn(False)
    yield
    timm.layers.set_fused_attn(True)


@pytest.mark.parametrize(
    ("encoder", "name", "replaced"),
    [
        ("resnet18", "torchvision", {"resnet50(": "resnet18("}),
        ("resnet50", "torchvision", {}),
        ("resnet18_cifar", "torchvision_cifar", {}),
        ("vit_small_16", "timm", {}),
    ],
)
@pytest.mark.usefixtures("plain_attention")
def test_the_documented_command_gives_our_features(
    trained: Callable[[str], Path],
    encoder: str,
    name: str,
    replaced: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = trained(encoder)
    model = run_snippet(name, folder, monkeypatch, **replaced)["model"]
    ours, about = load_encoder(folder / "encoder.safetensors")
    assert about["encoder"] == encoder and not model.training and not ours.training
    sizes = [images(224)] if name == "timm" else [images(64), images(33, 96)]
    assert max(difference(ours, model, batch) for batch in sizes) <= TOLERANCE
    if encoder == "vit_small_16":
        with torch.inference_mode():
            assert torch.equal(model.forward_features(images(224))[:, 0], model(images(224)))


def test_every_encoder_of_the_settings_is_compared_here() -> None:
    assert sorted(ENCODERS) == [
        "resnet18", "resnet18_cifar", "resnet50", "resnet_tiny_test", "vit_small_16", "vit_tiny_test",
    ]  # fmt: skip  # resnet_tiny_test is for tests, and nobody else's layout


@pytest.mark.usefixtures("plain_attention")
def test_the_tiny_transformer_is_timms_too(trained: Callable[[str], Path]) -> None:
    shape = VIT_SHAPES["vit_tiny_test"]
    theirs = TimmVit(
        img_size=32,
        patch_size=shape.patch,
        embed_dim=shape.dim,
        depth=shape.depth,
        num_heads=shape.heads,
        num_classes=0,
    )
    theirs.load_state_dict(load_file(trained("vit_tiny_test") / "encoder.safetensors"), strict=True)
    ours, _ = load_encoder(trained("vit_tiny_test") / "encoder.safetensors")
    assert difference(ours, theirs.eval(), images(32)) <= TOLERANCE


@pytest.mark.parametrize("encoder", ["resnet18", "resnet50"])
def test_timm_loads_a_resnet_as_it_is(trained: Callable[[str], Path], encoder: str) -> None:
    theirs = timm.create_model(encoder, num_classes=0)
    theirs.load_state_dict(load_file(trained(encoder) / "encoder.safetensors"), strict=True)
    ours, _ = load_encoder(trained(encoder) / "encoder.safetensors")
    assert difference(ours, theirs.eval(), images(64)) <= TOLERANCE


@pytest.mark.parametrize("side", [96, 256])  # fewer and more patches than positions were made for
@pytest.mark.usefixtures("plain_attention")
def test_positions_made_dinos_way_give_our_features_at_other_sizes(
    trained: Callable[[str], Path], side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = trained("vit_small_16")
    ours, _ = load_encoder(folder / "encoder.safetensors")
    model = run_snippet("timm_size", folder, monkeypatch, **{"side, weights = 96": f"side, weights = {side}"})["model"]
    assert difference(ours, model, images(side)) <= TOLERANCE
    dynamic = timm.create_model("vit_small_patch16_224", num_classes=0, dynamic_img_size=True).eval()
    dynamic.load_state_dict(load_file(folder / "encoder.safetensors"), strict=True)
    assert difference(ours, dynamic, images(side)) > 1e-4  # what docs/encoders.md warns of
    assert difference(ours, dynamic, images(224)) <= TOLERANCE


def test_fused_attention_rounds_in_the_last_digits_alone(trained: Callable[[str], Path]) -> None:
    ours, _ = load_encoder(trained("vit_small_16") / "encoder.safetensors")
    theirs = timm.create_model("vit_small_patch16_224", num_classes=0).eval()
    theirs.load_state_dict(load_file(trained("vit_small_16") / "encoder.safetensors"), strict=True)
    assert difference(ours, theirs, images(224)) < 3e-6


def test_the_file_says_what_it_is(trained: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    about = run_snippet("about", trained("resnet18"), monkeypatch)["about"]
    assert about["encoder"] == "resnet18" and about["mean"] == [0.485, 0.456, 0.406] and about["epochs"] == 1
    assert all(tensor.device.type == "cpu" for tensor in load_file("encoder.safetensors").values())
