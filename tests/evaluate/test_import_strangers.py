"""Encoders that others trained, or nobody: of torchvision, of timm, of any file, at random."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
import torchvision
from torch import nn

from scripts.evaluate import fetch_encoder, import_encoder
from scripts.evaluate.checkpoint_keys import mapped
from scripts.evaluate.encoder_sources import address_of, source_of
from scripts.evaluate.pass_checkpoints import SWAV
from scripts.evaluate.settings_encoders import (
    ImportEncoderSettings,
    TimmEncoder,
    TorchvisionEncoder,
)
from scripts.lib.encoders import build_encoder, feature_dim
from scripts.lib.errors import UserError
from tests.evaluate.made_checkpoints import (
    SHOWN,
    house,
    imported,
    linear,
    noisy,
    pictures,
    same_features,
)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_torchvision_by_name_and_with_a_file(tmp_path: Path, suffix: str):
    source = noisy(torchvision.models.resnet34())
    if suffix == "pth":
        torch.save(source.state_dict(), tmp_path / "file")
    else:
        safetensors.torch.save_file(source.state_dict(), tmp_path / "file")
    source.fc = nn.Identity()
    entry = {"kind": "torchvision", "model": "resnet34", "weights": "IMAGENET1K_V1"}
    network, about = imported(tmp_path, entry, tmp_path / "file")
    same_features(source, network, 64)
    assert about["encoder"] == "torchvision/resnet34" and feature_dim("torchvision/resnet34") == 512
    assert (about["image_size"], about["resize"], about["interpolation"]) == (224, 256, "bilinear")
    with pytest.raises(UserError, match=r"torchvision has no IMAGENET22K of resnet34; there are IMAGENET1K_V1"):
        imported(tmp_path, {**entry, "weights": "IMAGENET22K"}, tmp_path / "file")


def test_torchvision_says_where_its_weights_are_and_how_their_sha256_begins():
    entry = TorchvisionEncoder(name="x", kind="torchvision", model="resnet50", weights="IMAGENET1K_V2", download=True)
    assert address_of(entry) == ("https://download.pytorch.org/models/resnet50-11ad3fa6.pth", "11ad3fa6")
    assert source_of(entry).preprocessing.resize == 232  # the second recipe's
    assert TorchvisionEncoder(**{**entry.model_dump(), "model": "resnet18"}).architecture_name == "resnet18"


@pytest.mark.parametrize("model", ["test_resnet.r160_in1k", "test_vit.r160_in1k", "test_convnext.r160_in1k"])
def test_any_network_of_timm(tmp_path: Path, model: str):
    source = noisy(timm.create_model(model))
    safetensors.torch.save_file(source.state_dict(), tmp_path / "file")
    source.reset_classifier(0)
    network, about = imported(tmp_path, {"kind": "timm", "model": model}, tmp_path / "file")
    same_features(source, network, 160)
    assert about["encoder"] == f"timm/{model}" and about["source"] == f"timm {model}"
    assert (about["image_size"], about["resize"], about["licence"]) == (160, 168, "apache-2.0")
    assert network(pictures(160)).shape[1] == feature_dim(f"timm/{model}")


def test_what_timm_does_not_have(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match=r"model: timm 1\.\S+ has no resnet51; it has .*resnet"):
        imported(tmp_path, {"kind": "timm", "model": "resnet51"}, tmp_path / "file")
    entry = TimmEncoder(name="x", kind="timm", model="test_vit.r160_in1k", download=True)
    assert address_of(entry) == ("https://huggingface.co/timm/test_vit.r160_in1k/resolve/main/model.safetensors", "")
    with pytest.raises(UserError, match=r"x: timm publishes no state dict of coatnet_0_224\. Name a model"):
        address_of(entry.model_copy(update={"model": "coatnet_0_224"}))


def test_a_state_dict_with_a_mapping_of_its_own(tmp_path: Path):
    source = house("resnet_tiny_test")
    state = {f"net.backbone.{name.replace('layer', 'block')}": each for name, each in source.state_dict().items()}
    torch.save({"model": {**state, **linear("net.head", 4, 32)}}, tmp_path / "file")
    mapping = {"section": "model", "prefixes": ["net.backbone."], "rename": {"block": "layer"}, "drop": []}
    entry = {"kind": "state_dict", "architecture": "resnet_tiny_test", "mapping": mapping, "preprocessing": SHOWN}
    network, about = imported(tmp_path, {**entry, "licence": "CC0-1.0"}, tmp_path / "file")
    same_features(source, network, 64)
    assert {key: about[key] for key in SHOWN} == SHOWN and about["licence"] == "CC0-1.0"
    with pytest.raises(UserError, match=r"two of its tensors become conv1\.weight"):
        mapped(
            {"a.conv1.weight": torch.ones(1), "b.conv1.weight": torch.ones(1)},
            SWAV.model_copy(update={"prefixes": ("a.", "b.")}),
            "x",
        )


def test_random_encoders(tmp_path: Path):
    entry = {"kind": "random", "architecture": "timm/test_vit", "seed": 1, "preprocessing": SHOWN}
    network, about = imported(tmp_path, entry)
    expected = build_encoder("timm/test_vit", 1).state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in network.state_dict().items())
    assert about["source"] == "random initialisation, seed 1" and about["image_size"] == 64
    (tmp_path / "encoder.safetensors").rename(tmp_path / "other")
    recipe = ["--recipe", '{"encoder": null, "seed": 0}', "--weights=", "--like", str(tmp_path / "other")]
    import_encoder.main([*recipe, "--out", str(tmp_path / "like")])
    with safetensors.safe_open(tmp_path / "like", "pt") as file:
        like = json.loads(file.metadata()["description"])
    assert like["encoder"] == "timm/test_vit" and {key: like[key] for key in SHOWN} == SHOWN and like["seed"] == 0
    with pytest.raises(UserError, match=r"there is no network timm/nothing"):
        imported(tmp_path, {**entry, "architecture": "timm/nothing"})


def test_only_what_is_published_is_fetched(tmp_path: Path):
    recipe = '{"encoder": null, "seed": 0}'
    with pytest.raises(UserError, match="a random encoder has no weights to fetch"):
        fetch_encoder.main(["--recipe", recipe, "--out", str(tmp_path / "file")])
    mapping = {"section": None, "prefixes": [], "rename": {}, "drop": []}
    own = {"name": "own", "kind": "state_dict", "architecture": "resnet18", "mapping": mapping, "preprocessing": SHOWN}
    settings = ImportEncoderSettings.model_validate_json(json.dumps({"encoder": {**own, "path": ""}, "seed": 0}))
    with pytest.raises(UserError, match="nobody publishes this file"):
        fetch_encoder.main(["--recipe", settings.model_dump_json(), "--out", str(tmp_path / "file")])
