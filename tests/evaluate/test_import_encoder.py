from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import timm
import torch
import torchvision
from torch import nn

from scripts.evaluate import fetch_encoder, import_encoder
from scripts.evaluate.checkpoint_keys import load_exactly, mapped, section_of
from scripts.evaluate.encoder_sources import address_of, source_of
from scripts.evaluate.pass_checkpoints import CHECKPOINTS, CLD, DINO, MOCO, SWAV
from scripts.evaluate.settings_encoders import (
    ImportEncoderSettings,
    PassCheckpointEncoder,
    TimmEncoder,
    TorchvisionEncoder,
)
from scripts.lib.encoders import build_encoder, feature_dim
from scripts.lib.errors import UserError
from tests.evaluate.made_checkpoints import (
    SHOWN,
    dino_file,
    house,
    imported,
    linear,
    moco_file,
    noisy,
    pictures,
    swav_file,
)

PUBLISHED = {  # names of the README's links
    "moco_v2_180ep_of200ep", "moco_v2_200ep", "moco_v2_800ep", "moco_v2_r18_800ep", "moco_v2_CLD_200ep", "swav_200ep",
    "dino_deit_100ep", "dino_deit_300ep_ttemp0o07_warumup30ep_normlayerF",
}  # fmt: skip


class TouchOnLoad:
    """What a hostile file does: unpickling it calls a function."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def same_features(one: nn.Module, other: nn.Module, size: int) -> None:
    with torch.inference_mode():
        expected, found = one(pictures(size)), other(pictures(size))
    assert expected.std() > 0 and (expected - found).abs().max() <= 1e-6 * expected.abs().max()


def test_moco_of_pass(tmp_path: Path):
    source = torchvision.models.resnet18()
    source.fc = nn.Identity()
    noisy(source)
    torch.save(moco_file(source.state_dict(), 512), tmp_path / "file.pth.tar")
    entry = {"kind": "pass_checkpoint", "checkpoint": "moco_v2_r18_800ep"}
    network, about = imported(tmp_path, entry, tmp_path / "file.pth.tar")
    same_features(source, network, 64)
    assert about["encoder"] == "resnet18" and about["method"] == "moco_v2" and about["epochs"] == 800
    assert about["source"] == "published PASS checkpoint moco_v2_r18_800ep"
    assert about["source_sha256"] == hashlib.sha256((tmp_path / "file.pth.tar").read_bytes()).hexdigest()
    assert about["mean"] == [0.485, 0.456, 0.406] and about["std"] == [0.229, 0.224, 0.225]
    assert (about["image_size"], about["resize"], about["interpolation"]) == (224, 256, "bilinear")
    assert str(tmp_path) not in json.dumps(about) and "CC-BY-4.0" in about["licence"]
    first = (tmp_path / "encoder.safetensors").read_bytes()
    imported(tmp_path, entry, tmp_path / "file.pth.tar")
    assert (tmp_path / "encoder.safetensors").read_bytes() == first


def test_swav_of_pass(tmp_path: Path):
    source = torchvision.models.resnet50()
    source.fc = nn.Identity()
    noisy(source)
    torch.save(swav_file(source.state_dict(), 2048), tmp_path / "file.pth.tar")
    # SwAV's network has a layer for one pixel of padding, and one less in its first convolution.
    source.conv1.padding = (2, 2)
    padded = nn.Sequential(nn.ConstantPad2d(1, 0.0), source)
    network, about = imported(
        tmp_path, {"kind": "pass_checkpoint", "checkpoint": "swav_200ep"}, tmp_path / "file.pth.tar"
    )
    same_features(padded, network, 64)
    assert about["std"] == [0.228, 0.224, 0.225]


def test_dino_of_pass_and_no_other_object_than_its_flags(tmp_path: Path):
    source = noisy(timm.create_model("vit_small_patch16_224.dino", num_classes=0))
    timm.layers.set_fused_attn(False)
    plain = timm.create_model("vit_small_patch16_224.dino", num_classes=0).eval()
    timm.layers.set_fused_attn(True)
    plain.load_state_dict(source.state_dict())
    torch.save(dino_file(source.state_dict(), 384), tmp_path / "file.pth.tar")
    entry = {"kind": "pass_checkpoint", "checkpoint": "dino_deit_100ep"}
    network, about = imported(tmp_path, entry, tmp_path / "file.pth.tar")
    same_features(plain, network, 224)
    assert about["encoder"] == "vit_small_16" and about["interpolation"] == "bicubic"


@pytest.mark.parametrize(
    ("mapping", "content", "width", "architecture"),
    [
        (MOCO, moco_file, 512, "resnet18"),
        (CLD, lambda state, width: moco_file(state, width, cld=True), 512, "resnet18"),
        (SWAV, swav_file, 512, "resnet18"),
        (DINO, dino_file, 64, "vit_tiny_test"),
        (DINO, lambda state, width: dino_file(state, width, wrapped=True), 64, "vit_tiny_test"),
    ],
)
def test_names_of_each_official_code(mapping: Any, content: Any, width: int, architecture: str):
    state = house(architecture).state_dict()
    found = mapped(section_of(content(state, width), mapping.section, "x"), mapping, "x")
    assert found.keys() == state.keys() and all(torch.equal(found[name], state[name]) for name in state)


def test_the_table_holds_what_the_authors_publish():
    assert set(CHECKPOINTS) == PUBLISHED
    assert {name: each.architecture for name, each in CHECKPOINTS.items() if each.architecture != "resnet50"} == {
        "moco_v2_r18_800ep": "resnet18",
        "dino_deit_100ep": "vit_small_16",
        "dino_deit_300ep_ttemp0o07_warumup30ep_normlayerF": "vit_small_16",
    }
    entry = PassCheckpointEncoder(name="x", kind="pass_checkpoint", checkpoint="swav_200ep", download=True)
    where = "https://www.robots.ox.ac.uk/~vgg/research/pass/pretrained_models/swav_200ep.pth.tar"
    assert address_of(entry) == (where, "")


def test_a_head_of_moco_is_not_cld():
    state = house("resnet18").state_dict()
    tensors = mapped(moco_file(state, 512, cld=True)["state_dict"], MOCO, "x")
    with pytest.raises(UserError, match=r"2 tensors are no part of it \(instDis\.weight, groupDis\.weight\)"):
        load_exactly(build_encoder("resnet18", 0), tensors, "x")


def test_every_tensor_no_other_and_each_of_its_shape():
    network, state = build_encoder("resnet18", 0), house("resnet18").state_dict()
    wrong = {name: tensor for name, tensor in state.items() if not name.startswith("layer4.1.conv")}
    wrong |= {"conv1.weight": torch.zeros(64, 3, 3, 3), "stem.weight": torch.zeros(2)}
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(UserError) as error:
        load_exactly(network, wrong, "resnet18, the network of y")
    assert str(error.value) == (
        "the weights are not those of resnet18, the network of y: of 120 tensors of the network and 119 of the file, "
        "2 tensors are missing (layer4.1.conv1.weight, layer4.1.conv2.weight); 1 tensors are no part of it "
        "(stem.weight); 1 tensors have another shape (conv1.weight is [64, 3, 3, 3] where [64, 3, 7, 7] is expected). "
        "Give the file that the entry names, or correct its network or mapping"
    )
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    old = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    load_exactly(network, old, "x")  # of a torch that did not count batches
    assert torch.equal(network.state_dict()["bn1.running_mean"], state["bn1.running_mean"])


def test_files_of_other_methods_are_named_by_their_first_tensors(tmp_path: Path):
    torch.save(swav_file(house("resnet18").state_dict(), 512), tmp_path / "file")
    entry = {"kind": "pass_checkpoint", "checkpoint": "moco_v2_r18_800ep"}
    with pytest.raises(
        UserError, match=r"none of its \d+ tensors is of the encoder: names that begin with module\.encode"
    ):
        imported(tmp_path, entry, tmp_path / "file")
    with pytest.raises(UserError, match=r"has no section 'teacher', .*it holds epoch, state_dict, optimizer, amp"):
        imported(tmp_path, {**entry, "checkpoint": "dino_deit_100ep"}, tmp_path / "file")
    torch.save({"state_dict": {"a": 1}}, tmp_path / "file")
    with pytest.raises(UserError, match=r"its section 'state_dict' holds a that are no tensors"):
        imported(tmp_path, entry, tmp_path / "file")


def test_a_file_that_runs_code_is_refused_and_does_not_run(tmp_path: Path):
    mark = tmp_path / "ran"
    torch.save({"state_dict": {"weight": TouchOnLoad(mark)}}, tmp_path / "hostile")
    with pytest.raises(UserError, match="weights_only=True"):
        imported(tmp_path, {"kind": "pass_checkpoint", "checkpoint": "swav_200ep"}, tmp_path / "hostile")
    assert not mark.exists() and not (tmp_path / "encoder.safetensors").exists()


def test_a_file_that_is_not_there_or_another(tmp_path: Path):
    entry = {"kind": "pass_checkpoint", "checkpoint": "swav_200ep", "sha256": "0123456789abcdef"}
    with pytest.raises(
        UserError, match=r"stranger are not here: expected a file at \S+/none\. Put that of published PASS"
    ):
        imported(tmp_path, entry, tmp_path / "none")
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(UserError, match=r"SHA-256 0123456789abcdef was expected and 2d711642\w+ was found"):
        imported(tmp_path, entry, tmp_path / "file")


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
