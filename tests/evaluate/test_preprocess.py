from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode, v2

from scripts.evaluate import import_encoder, knn
from scripts.evaluate.features import load_features
from scripts.evaluate.preprocess import as_shown, interpolation_of
from scripts.evaluate.settings import ListTaskSettings, Preprocess
from scripts.evaluate.settings_protocols import KnnSettings
from scripts.evaluate.settings_tasks import Task
from scripts.lib.encoders import build_encoder, load_encoder, save_encoder
from scripts.lib.errors import UserError
from scripts.lib.images import centre_view, decode_image
from tests.evaluate import test_embed as embedding
from tests.evaluate.made import run_main
from tests.evaluate.made_checkpoints import house, moco_file

SHOWN = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.3]}


def task_of(resize: int, crop: int) -> Task:
    recipe = {"task": embedding.task_of(resize=resize, crop=crop), "near_duplicates": None}
    return ListTaskSettings.model_validate_json(json.dumps(recipe)).task


@pytest.mark.parametrize(
    ("preprocess", "sizes", "about", "shown", "noted"),
    [
        ("encoder", (256, 224), {"image_size": 224}, (256, 224), {}),
        ("encoder", (72, 64), {"image_size": 224, "resize": 256}, (256, 224), {"task_crop": 64}),
        ("encoder", (32, 32), {"image_size": 224}, (224, 224), {"task_crop": 32}),  # the task's margin: none
        ("encoder", (256, 224), {"image_size": 64}, (73, 64), {"task_crop": 224}),
        ("encoder", (256, 224), {"image_size": 224, "resize": 235, "interpolation": "bicubic"}, (235, 224), {}),
        ("encoder", (256, 224), {}, (256, 224), {}),  # a file that does not say
        ("task", (256, 224), {"image_size": 224, "resize": 232}, (256, 224), {}),
        ("task", (32, 32), {"image_size": 224}, (32, 32), {"encoder_image_size": 224}),
    ],
)
def test_whose_sizes_count(
    preprocess: Preprocess, sizes: tuple[int, int], about: dict[str, Any], shown: tuple[int, int],
    noted: dict[str, Any], caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    with caplog.at_level(logging.WARNING):
        found, said = as_shown(task_of(*sizes), preprocess, about)
    assert (found.resize, found.crop) == shown
    expected = noted | ({"interpolation": "bicubic"} if "interpolation" in about else {})
    assert said == expected and bool(caplog.text) == bool(noted or "image_size" not in about)


def test_what_a_file_cannot_say() -> None:
    with pytest.raises(UserError, match=r"image_size True, which is no number of pixels"):
        as_shown(task_of(40, 32), "encoder", {"image_size": True})
    with pytest.raises(UserError, match=r"interpolation 'nearest'; bilinear and bicubic are known"):
        interpolation_of({"interpolation": "nearest"})


def test_bicubic_is_torchvisions() -> None:
    pixels = decode_image(embedding.picture(3, (50, 70)))
    transform = v2.Compose([v2.Resize(40, interpolation=InterpolationMode.BICUBIC), v2.CenterCrop(32)])
    expected = np.asarray(transform(Image.fromarray(pixels)))
    assert (centre_view(pixels, 40, 32, "bicubic") == expected).all()
    assert (centre_view(pixels, 40, 32) != expected).any()


def test_features_are_of_what_the_file_says(tmp_path: Path) -> None:
    network = build_encoder("resnet_tiny_test", 0)
    about = {"encoder": "resnet_tiny_test", **SHOWN, "image_size": 24, "resize": 28, "interpolation": "bicubic"}
    save_encoder(tmp_path / "encoder", network, about)
    path = embedding.run(tmp_path, tmp_path / "encoder", embedding.task_of(), embedding.tars(tmp_path))
    features = load_features(path)
    assert features.inputs["task_crop"] == 32 and features.inputs["interpolation"] == "bicubic"
    assert (features.inputs["resize"], features.inputs["crop"]) == (28, 24)
    transform = v2.Compose(
        [
            v2.Resize(28, interpolation=InterpolationMode.BICUBIC),
            v2.CenterCrop(24),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(SHOWN["mean"], SHOWN["std"]),
        ]
    )
    order = [*range(1, 6, 2), *range(0, 6, 2)]
    pictures = [decode_image(embedding.picture(index + 100, (40 + index, 50))) for index in order]
    with torch.inference_mode():
        batch = torch.stack([transform(Image.fromarray(each)) for each in pictures])
        expected = load_encoder(tmp_path / "encoder")[0](batch)
    assert np.allclose(features.test_features, expected.numpy(), rtol=1e-4, atol=1e-4)


def test_a_network_of_one_size_says_so(tmp_path: Path) -> None:
    name = "timm/vit_tiny_patch16_224"
    save_encoder(tmp_path / "encoder", build_encoder(name, 0), {"encoder": name, **SHOWN, "image_size": 224})
    with pytest.raises(
        UserError, match=r"cannot take pictures of 32 pixels .*own are 224: set evaluate\.preprocess to"
    ):
        embedding.run(tmp_path, tmp_path / "encoder", embedding.task_of(), embedding.tars(tmp_path), preprocess="task")


def test_from_a_checkpoint_to_neighbours(tmp_path: Path) -> None:
    torch.save(moco_file(house("resnet18").state_dict(), 512), tmp_path / "checkpoint")
    shown = {**SHOWN, "image_size": 32, "resize": 36, "interpolation": "bilinear"}
    mapping = {"section": "state_dict", "prefixes": ["module.encoder_q."], "rename": {}, "drop": ["fc."]}
    entry = {"name": "moco", "kind": "state_dict", "architecture": "resnet18", "path": "", "mapping": mapping}
    recipe = json.dumps({"encoder": {**entry, "preprocessing": shown}, "seed": 0})
    encoder = tmp_path / "encoder.safetensors"
    import_encoder.main(["--recipe", recipe, "--weights", str(tmp_path / "checkpoint"), "--out", str(encoder)])
    features = load_features(embedding.run(tmp_path, encoder, embedding.task_of(), embedding.tars(tmp_path)))
    assert features.description["encoder"]["source"] == "own state dict of resnet18"
    votes = KnnSettings.model_validate_json('{"tasks": null, "votes": [{"neighbours": 3, "temperature": 0.07}]}')
    rows, predictions = run_main(knn, tmp_path / "knn", features, votes)
    # Red and blue pictures: colours get through any network, so nothing but a broken one confuses them.
    assert {row["metric"]: float(row["value"]) for row in rows}["top1"] == 100 and predictions[0]["right"] == [True] * 6
    assert json.loads(rows[0]["inputs"])["crop"] == 32
