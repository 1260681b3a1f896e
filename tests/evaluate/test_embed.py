from __future__ import annotations

import io
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from scripts.evaluate import embed, knn, list_task
from scripts.evaluate.features import load_features
from scripts.lib.encoders import IMAGENET_MEAN, IMAGENET_STD, build_encoder, load_encoder, save_encoder
from scripts.lib.errors import UserError
from scripts.lib.images import decode_image
from scripts.lib.tars import TarWriter

DESCRIPTION = {"encoder": "resnet18", "mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD), "image_size": 32}


def picture(seed: int, size: tuple[int, int]) -> bytes:
    # Classes differ by colour: even seeds are red, odd ones blue.
    pixels = np.random.default_rng(seed).integers(0, 120, (*size, 3), dtype=np.uint8)
    pixels[..., 2 * (seed % 2)] += 120
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("encoder") / "encoder.safetensors"
    save_encoder(path, build_encoder("resnet18", 0), DESCRIPTION)
    return path


def task_of(**values: Any) -> dict[str, Any]:
    task = {"kind": "tar", "name": "toy", "train": "", "test": "", "resize": 40, "crop": 32, "seed": 0}
    return {**task, "max_train": None, "max_test": None, **values}


def run(folder: Path, encoder: Path, task: dict[str, Any], paths: list[str], batch_size: int = 4) -> Path:
    list_task.main(["--recipe", json.dumps({"task": task}), "--paths", *paths, "--out", str(folder / "items")])
    recipe = json.dumps({"task": task, "batch_size": batch_size})
    arguments = ["--recipe", recipe, "--encoder", str(encoder), "--items", str(folder / "items"), "--paths", *paths]
    embed.main([*arguments, "--threads", "2", "--out", str(folder / "features")])
    return folder / "features"


def tars(folder: Path) -> list[str]:
    folder.mkdir(exist_ok=True)
    for split, count in (("train", 10), ("test", 6)):
        with TarWriter(folder / split) as writer:
            for index in range(count):
                content = picture(index + 100 * (split == "test"), (40 + index, 50))
                writer.add(f"{['red', 'blue'][index % 2]}/{index}.png", content)
    return [str(folder / "train"), str(folder / "test")]


def test_features_are_those_of_torchvisions_transforms(tmp_path: Path, encoder: Path):
    features = load_features(run(tmp_path, encoder, task_of(), tars(tmp_path)))
    assert features.description["class_names"] == ["blue", "red"]
    assert features.description["encoder"] == DESCRIPTION
    assert features.train_labels.tolist() == [0] * 5 + [1] * 5
    assert features.test_labels.tolist() == [0] * 3 + [1] * 3
    transform = v2.Compose(
        [
            v2.Resize(40),
            v2.CenterCrop(32),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )
    order = [*range(1, 10, 2), *range(0, 10, 2)]  # blue, then red, by name
    pictures = [Image.fromarray(decode_image(picture(index, (40 + index, 50)))) for index in order]
    with torch.inference_mode():
        expected = load_encoder(encoder)[0](torch.stack([transform(each) for each in pictures]))
    assert torch.allclose(features.train_features, expected, rtol=1e-4, atol=1e-4)


def test_same_inputs_same_bytes_and_any_batch_size(tmp_path: Path, encoder: Path):
    first = run(tmp_path, encoder, task_of(), tars(tmp_path)).read_bytes()
    assert run(tmp_path, encoder, task_of(), tars(tmp_path)).read_bytes() == first
    (tmp_path / "again").write_bytes(first)
    whole = load_features(run(tmp_path, encoder, task_of(), tars(tmp_path), batch_size=64))
    assert torch.allclose(whole.test_features, load_features(tmp_path / "again").test_features, rtol=1e-4, atol=1e-4)


def test_generated_set_end_to_end(tmp_path: Path, encoder: Path):
    task = {"kind": "fractal", "classes": 3, "train_per_class": 4, "test_per_class": 2, "image_size": 32}
    task |= {"iterations": 2000, "fractal_seed": 0, "name": "made", "resize": 32, "crop": 32}
    features = run(tmp_path, encoder, {**task, "max_train": None, "max_test": None, "seed": 0}, [""])
    recipe = '{"neighbours": [5], "temperature": 0.07}'
    arguments = ["--recipe", recipe, "--run", "r", "--task", "made", "--features", str(features), "--threads", "1"]
    knn.main([*arguments, "--out", str(tmp_path / "knn.csv")])
    assert (tmp_path / "knn.csv").read_text().splitlines()[1].startswith("r,made,knn_k5_T0.07,top1,")


def test_undecodable_image_is_named(tmp_path: Path, encoder: Path):
    paths = tars(tmp_path)
    with TarWriter(tmp_path / "test") as writer:
        writer.add("red/ok.png", picture(1, (40, 40)))
        writer.add("blue/cut.png", picture(2, (40, 40))[:-500])
    with pytest.raises(UserError, match=r"the test image blue/cut.png of the task toy cannot be decoded"):
        run(tmp_path, encoder, task_of(), paths)
    assert not (tmp_path / "features").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": None}, "has no `mean` of three numbers"),
        ({"std": [1.0, 1.0]}, "has no `std` of three numbers"),
        ({"std": [1.0, 0.0, 1.0]}, "must be above 0"),
    ],
)
def test_encoder_must_say_its_normalisation(change: dict[str, Any], message: str):
    with pytest.raises(UserError, match=message):
        embed.normalisation({**DESCRIPTION, **change})


def test_diverged_encoder_is_a_user_error(tmp_path: Path):
    broken = build_encoder("resnet18", 0)
    with torch.no_grad():
        next(broken.parameters()).fill_(torch.nan)
    save_encoder(tmp_path / "encoder", broken, DESCRIPTION)
    with pytest.raises(UserError, match="features that are not finite on the task toy"):
        run(tmp_path, tmp_path / "encoder", task_of(), tars(tmp_path))


def test_warnings_on_small_pictures_and_collapse(caplog: pytest.LogCaptureFixture):
    task = list_task.ListTaskSettings.model_validate_json(json.dumps({"task": task_of(resize=256, crop=224)})).task
    with caplog.at_level(logging.WARNING):
        embed.warn_of_upsampling(task, [200, 300, 400])
        embed.warn_of_collapse(torch.randn(50, 8))
        assert not caplog.records
        embed.warn_of_upsampling(task, [32, 32, 40])
        embed.warn_of_collapse(torch.ones(50, 8) + 1e-4 * torch.randn(50, 8))
    assert "median short side of 32 pixels and are enlarged to 256" in caplog.text
    assert "the encoder collapsed" in caplog.text


def test_cifar10_untrained(shared: Path, tmp_path: Path, encoder: Path):
    task = task_of(name="cifar10", resize=32, max_train=300, max_test=100)
    features = load_features(
        run(tmp_path, encoder, task, [str(shared / f"cifar10_{split}.tar") for split in ("train", "test")], 64)
    )
    assert features.train_features.shape == (300, 512)
    assert torch.bincount(features.test_labels).tolist() == [10] * 10
    # An untrained network already sorts colours: far above the 10 % of chance.
    rows = knn.knn_rows(features, knn.KnnSettings(neighbours=(20,), temperature=0.07), "r", "cifar10")
    assert float(rows[0][4]) > 15
