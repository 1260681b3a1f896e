from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import nn

from scripts.evaluate.checkpoint_keys import load_exactly, mapped, section_of
from scripts.evaluate.encoder_sources import address_of
from scripts.evaluate.pass_checkpoints import CHECKPOINTS, CLD, DINO, MOCO, SWAV
from scripts.evaluate.settings_encoders import (
    PassCheckpointEncoder,
)
from scripts.lib.encoders import build_encoder
from scripts.lib.errors import UserError
from tests.evaluate.made_checkpoints import (
    dino_file,
    house,
    imported,
    moco_file,
    noisy,
    same_features,
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
