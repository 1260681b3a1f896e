from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from scripts.evaluate import embed, embedder, knn, list_task
from scripts.evaluate.blocks import FeatureTaps
from scripts.evaluate.features import load_features
from scripts.evaluate.items import Item
from scripts.evaluate.protocol import given_of
from scripts.evaluate.settings_protocols import KnnVote
from scripts.evaluate.views import augmented_view
from scripts.lib.draws import generator
from scripts.lib.encoders import IMAGENET_MEAN, IMAGENET_STD, build_encoder, load_encoder, save_encoder
from scripts.lib.errors import UserError
from scripts.lib.files import table_of
from scripts.lib.images import decode_image
from scripts.lib.tables import TASK_ITEMS
from scripts.lib.tars import TarWriter

CACHE = {"precision": "float32", "shard_images": 100, "last_blocks": None, "train_views": None, "seed": 0}
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


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vision transformer that takes no time, for tests of the cache."""
    path = tmp_path_factory.mktemp("tiny") / "encoder.safetensors"
    save_encoder(path, build_encoder("vit_tiny_test", 0), {**DESCRIPTION, "encoder": "vit_tiny_test"})
    return path


def task_of(**values: Any) -> dict[str, Any]:
    task = {"kind": "tar", "name": "toy", "train": "", "test": "", "resize": 40, "crop": 32, "seed": 0}
    return {**task, "max_train": None, "max_test": None, **values}


def run(
    folder: Path, encoder: Path, task: dict[str, Any], paths: list[str], batch_size: int = 4,
    preprocess: str = "encoder", **cache: Any,
) -> Path:  # fmt: skip
    listing = ["--recipe", json.dumps({"task": task, "near_duplicates": None}), "--paths", *paths]
    list_task.main([*listing, "--out", str(folder / "items"), "--left-out", str(folder / "left.csv")])
    embed.main(arguments(folder, encoder, task, paths, batch_size, preprocess, **cache))
    return folder / "features"


def arguments(
    folder: Path, encoder: Path, task: dict[str, Any], paths: list[str], batch_size: int,
    preprocess: str = "encoder", **cache: Any,
) -> list[str]:  # fmt: skip
    recipe = json.dumps({"task": task, "preprocess": preprocess, "batch_size": batch_size, "cache": {**CACHE, **cache}})
    flags = ["--recipe", recipe, "--encoder", str(encoder), "--items", str(folder / "items"), "--paths", *paths]
    return [*flags, "--threads", "2", "--out", str(folder / "features")]


def tars(folder: Path, train: int = 10) -> list[str]:
    folder.mkdir(exist_ok=True)
    for split, count in (("train", train), ("test", 6)):
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
    assert np.allclose(features.train_features, expected.numpy(), rtol=1e-4, atol=1e-4)


def test_same_inputs_same_bytes_and_any_batch_size(tmp_path: Path, encoder: Path):
    first = run(tmp_path, encoder, task_of(), tars(tmp_path)).read_bytes()
    assert run(tmp_path, encoder, task_of(), tars(tmp_path)).read_bytes() == first
    (tmp_path / "again").write_bytes(first)
    whole = load_features(run(tmp_path, encoder, task_of(), tars(tmp_path), batch_size=64))
    assert np.allclose(whole.test_features, load_features(tmp_path / "again").test_features, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shard_images", [1, 3, 4, 16])
def test_shards_change_nothing_but_rounding(tmp_path: Path, tiny: Path, shard_images: int):
    whole = load_features(run(tmp_path, tiny, task_of(), tars(tmp_path)))
    parts = load_features(run(tmp_path, tiny, task_of(), tars(tmp_path), shard_images=shard_images))
    assert np.allclose(parts.train_features, whole.train_features, rtol=1e-4, atol=1e-4)
    assert parts.test_labels.tolist() == whole.test_labels.tolist() and parts.description == whole.description
    assert not list(tmp_path.glob("features.*"))  # shards are gone once they are joined


def test_a_killed_pass_keeps_its_shards(tmp_path: Path, tiny: Path, caplog: pytest.LogCaptureFixture):
    paths = tars(tmp_path, train=60)
    listing = ["--recipe", json.dumps({"task": task_of(), "near_duplicates": None}), "--paths", *paths]
    list_task.main([*listing, "--out", str(tmp_path / "items"), "--left-out", str(tmp_path / "left.csv")])
    flags = arguments(tmp_path, tiny, task_of(), paths, 1, shard_images=1)
    process = subprocess.Popen([sys.executable, "-m", "scripts.evaluate.embed", *flags], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("features.shards/*/*.safetensors"))) < 3:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
    process.kill()
    process.communicate()
    assert not (tmp_path / "features").exists()
    kept = sorted(tmp_path.glob("features.shards/*/*.safetensors"))
    kept[1].write_bytes(kept[1].read_bytes()[:50])  # damaged: made again
    with caplog.at_level(logging.INFO):
        embed.main(flags)
    assert f"{len(kept) - 1} kept from before" in caplog.text and "is damaged; it is made again" in caplog.text
    resumed = (tmp_path / "features").read_bytes()
    embed.main(flags)
    assert (tmp_path / "features").read_bytes() == resumed


def test_shards_of_another_recipe_are_not_used(tmp_path: Path, tiny: Path, caplog: pytest.LogCaptureFixture):
    stale = tmp_path / "features.shards" / "0123456789abcdef"
    stale.mkdir(parents=True)
    (stale / "train-00000.safetensors").write_bytes(b"of other weights")
    run(tmp_path, tiny, task_of(), tars(tmp_path))
    assert "holds shards of other weights, images, settings or code; removed" in caplog.text
    assert not stale.exists()


def test_half_precision_and_what_does_not_fit_it(tmp_path: Path, tiny: Path):
    whole = load_features(run(tmp_path, tiny, task_of(), tars(tmp_path)))
    half = load_features(run(tmp_path, tiny, task_of(), tars(tmp_path), precision="float16"))
    assert np.array_equal(half.train_features, whole.train_features.astype(np.float16).astype(np.float32))
    assert half.inputs["precision"] == "float16"
    large = build_encoder("resnet18", 0)
    with torch.no_grad():
        large.layer4[1].bn2.bias.fill_(1e6)
    save_encoder(tmp_path / "encoder", large, DESCRIPTION)
    with pytest.raises(UserError, match=r"do not fit float16 on the task toy; set evaluate\.cache\.precision"):
        run(tmp_path, tmp_path / "encoder", task_of(), tars(tmp_path), precision="float16")


def test_blocks_and_patches_of_a_vit():
    network = build_encoder("vit_tiny_test", 0).eval()
    images = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found = FeatureTaps(network, 2)(images)
        alone = network(images)
    assert {name: tuple(each.shape) for name, each in found.items()} == {
        "features": (3, 64), "blocks": (3, 2, 64), "patches": (3, 64),
    }  # fmt: skip
    # The last block's class token after the norm is the encoder's feature; a ResNet has no blocks.
    assert torch.allclose(found["blocks"][:, -1], found["features"]) and torch.equal(alone, found["features"])
    assert not FeatureTaps(build_encoder("resnet18", 0), 2).taps


def test_augmented_views_are_kept_and_do_not_depend_on_shards(tmp_path: Path, tiny: Path):
    paths = tars(tmp_path)
    kept = [
        load_features(run(tmp_path, tiny, task_of(), paths, train_views=2, shard_images=size), ("train_views",))
        for size in (4, 100)
    ]
    views = kept[0].extras["train_views"]
    assert views.shape == (10, 2, 64)
    assert np.allclose(views, kept[1].extras["train_views"], rtol=1e-4, atol=1e-4)
    item = Item("train", "blue/1.png", "blue", 0, len(picture(1, (41, 50))))
    pixels = decode_image(picture(1, (41, 50)))
    view = augmented_view(pixels, 32, generator(0, "embed view", item.name, 1))
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (IMAGENET_MEAN, IMAGENET_STD))
    with torch.inference_mode():
        batch = (torch.from_numpy(view.copy()).permute(2, 0, 1)[None].float() / 255 - mean) / std
        expected = load_encoder(tiny)[0](batch)[0]
    assert np.allclose(views[0, 1], expected.numpy(), rtol=1e-3, atol=1e-3)


def test_augmented_views_have_the_official_boxes():
    ramp = np.broadcast_to(np.arange(200, dtype=np.uint8)[None, :, None], (150, 200, 3)).copy()
    spans = []
    for number in range(400):
        view = augmented_view(ramp, 24, generator(0, "test", number))
        assert view.shape == (24, 24, 3) and view.dtype == np.uint8
        spans.append(int(view[0, -1, 0]) - int(view[0, 0, 0]))
    assert 0.4 < np.mean(np.array(spans) < 0) < 0.6  # half of them are mirrored
    assert min(map(abs, spans)) < 80 and max(map(abs, spans)) > 150


def test_several_labels_reach_the_features(tmp_path: Path):
    rows = [
        {"split": "train", "label": 0, "accepted": [0, 2], "ignored": []},
        {"split": "train", "label": 1, "accepted": [1], "ignored": []},
        {"split": "test", "label": 2, "accepted": [2], "ignored": []},
    ]
    tensors, several = embed.label_tensors(rows, 3)
    assert several and tensors["train_accepted"].tolist() == [[True, False, True], [False, True, False]]
    assert tensors["test_accepted"].tolist() == [[False, False, True]]
    real, several = embed.label_tensors([{**rows[1]}, {**rows[2], "accepted": [0, 2]}], 3)
    assert not several and "train_accepted" not in real and real["test_accepted"].tolist() == [[True, False, True]]
    plain, several = embed.label_tensors(rows[1:], 3)
    assert not several and set(plain) == {"train_labels", "test_labels"}


def test_generated_set_end_to_end(tmp_path: Path, encoder: Path):
    task = {"kind": "fractal", "classes": 3, "train_per_class": 4, "test_per_class": 2, "image_size": 32}
    task |= {"iterations": 2000, "fractal_seed": 0, "name": "made", "resize": 32, "crop": 32}
    features = run(tmp_path, encoder, {**task, "max_train": None, "max_test": None, "seed": 0}, [""])
    recipe = '{"tasks": null, "votes": [{"neighbours": 5, "temperature": 0.07}]}'
    flags = ["--recipe", recipe, "--run", "r", "--task", "made", "--features", str(features), "--threads", "1"]
    knn.main([*flags, "--predictions", str(tmp_path / "knn.parquet"), "--out", str(tmp_path / "knn.csv")])
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
        embedder.normalisation({**DESCRIPTION, **change})


def test_diverged_encoder_is_a_user_error(tmp_path: Path):
    broken = build_encoder("resnet18", 0)
    with torch.no_grad():
        next(broken.parameters()).fill_(torch.nan)
    save_encoder(tmp_path / "encoder", broken, DESCRIPTION)
    with pytest.raises(UserError, match="features that are not finite on the task toy"):
        run(tmp_path, tmp_path / "encoder", task_of(), tars(tmp_path))


def test_warnings_on_small_pictures_and_collapse(caplog: pytest.LogCaptureFixture):
    task = list_task.ListTaskSettings.model_validate_json(
        json.dumps({"task": task_of(resize=256, crop=224), "near_duplicates": None})
    ).task
    with caplog.at_level(logging.WARNING):
        assert embed.enlargement(task, [200, 300, 400]) is None
        embed.warn_of_collapse(np.random.default_rng(0).normal(size=(50, 8)))
        assert not caplog.records
        assert embed.enlargement(task, [32, 32, 40]) == 8.0
        embed.warn_of_collapse(1 + 1e-4 * np.random.default_rng(0).normal(size=(50, 8)))
    assert "median short side of 32 pixels and are enlarged to 256" in caplog.text
    assert "the encoder collapsed" in caplog.text


def test_what_features_say_of_themselves():
    rows = [
        {
            "split": split,
            "name": str(n),
            "label": label,
            "class_name": name,
            "offset": -1,
            "size": 0,
            "accepted": all_,
            "ignored": [],
        }
        for n, (split, label, name, all_) in enumerate(
            [("train", 0, "cat", [0, 2]), ("train", 1, "dog", [1]), ("test", 1, "dog", [0, 1])]
        )
    ]
    table = table_of(rows, TASK_ITEMS)
    assert embed.class_names(table) == ["cat", "dog", "2"]  # class 2 stands for no image of its own
    settings = embed.EmbedSettings.model_validate_json(
        json.dumps({"task": task_of(resize=256, crop=224), "preprocess": "task", "batch_size": 4, "cache": CACHE})
    )
    said = [embed.describe(table, settings, {}, {"items_sha256": "x"}, factor)["inputs"] for factor in (None, 8.0)]
    assert said[0] == {"items_sha256": "x", "resize": 256, "crop": 224, "precision": "float32"}
    assert said[1] == {**said[0], "enlarged": 8.0}


def test_cifar10_untrained(shared: Path, tmp_path: Path, encoder: Path):
    task = task_of(name="cifar10", resize=32, max_train=300, max_test=100)
    features = load_features(
        run(tmp_path, encoder, task, [str(shared / f"cifar10_{split}.tar") for split in ("train", "test")], 64)
    )
    assert features.train_features.shape == (300, 512)
    assert np.bincount(features.test_labels).tolist() == [10] * 10
    # An untrained network already sorts colours: far above the 10 % of chance.
    votes = (KnnVote(neighbours=20, temperature=0.07),)
    (answer,) = knn.knn_answers(given_of(features, "cifar10"), knn.KnnSettings(tasks=None, votes=votes))
    assert np.mean(answer.predicted == features.test_labels) > 0.15
