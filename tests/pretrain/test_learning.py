"""Each method learns something of 2,000 photographs within minutes on one core; `pytest -m slow -s` prints the figures.

Learnt means both: the loss ends below the line of an encoder that gives every image the same features, and the nearest
neighbours of *other* labelled photographs are of their class more often than before the first step, when they already
are far more often than by chance. Encoders and pictures are tiny, and the settings not the papers': decisions.md#90.
"""

from __future__ import annotations

import copy
import csv
import tarfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scripts.lib.draws import rank
from scripts.lib.identity import derived_id
from scripts.lib.images import decode_image
from scripts.lib.labelled_sample import LabelledSample, write_sample
from scripts.lib.recipe import canonical_json
from scripts.pretrain.diagnosis import BAD, diagnose, final_value, worst
from scripts.pretrain.train import load_run, main
from tests.pretrain import made, made_multicrop
from tests.pretrain.made import flags, write_shards
from tests.pretrain.made_multicrop import CROP

IMAGES = 2000  # to train on, and as many others to look at
MONITOR = {
    "task": "cifar10",
    "classes": None,
    "images": IMAGES,
    "every_epochs": 10,
    "neighbours": 20,
    "temperature": 0.07,
}
VIEW = {"crop_scale": [0.25, 1.0], "blur_probability": 0.0}  # of 32 pixels, which a blur of one leaves nothing of
SWAV_CROPS = [{**CROP, **VIEW, "crop_scale": [0.2, 1.0], "jitter": [0.4, 0.4, 0.4, 0.1]}]
DINO_LARGE = {**CROP, **VIEW, "crop_scale": [0.3, 1.0]}
DINO_CROPS = [DINO_LARGE, {**DINO_LARGE, "image_size": 16, "crop_scale": [0.1, 0.4]}]  # two of each
RESNET = {"encoder": "resnet_tiny_test", "batch_size": 64, "feature_dim": 32}
MOMENTUM = {"bn_splits": 1, "learning_rate": 0.06, "queue_size": 512, "key_momentum": 0.97}
SETTINGS: dict[str, dict[str, Any]] = {
    "moco_v2": {"epochs": 60, **RESNET, **MOMENTUM, "augmentation": VIEW},
    "moco_v2_cld": {
        "epochs": 30, **RESNET, **MOMENTUM, "augmentation": VIEW, "clusters": 20, "cluster_splits": 1,
    },
    "simclr": {"epochs": 30, **RESNET, "augmentation": VIEW, "learning_rate": 1.0, "warmup_epochs": 2},
    "swav": {
        "epochs": 50, **RESNET, "augmentation": {"crops": SWAV_CROPS}, "learning_rate": 0.6,
        "first_learning_rate": 0.0, "final_learning_rate": 0.0006, "warm_up_epochs": 0, "hidden_dim": 64,
        "prototypes": 64, "queue_size": 0, "queue_from_epoch": 0, "freeze_prototypes_steps": 31,
    },
    "dino": {
        "epochs": 70, "encoder": "vit_tiny_test", "batch_size": 32, "augmentation": {"crops": DINO_CROPS},
        "learning_rate": 0.001, "final_learning_rate": 0.00001, "warm_up_epochs": 3, "final_weight_decay": 0.1,
        "hidden_dim": 128, "bottleneck_dim": 32, "output_dim": 128, "norm_last_layer": True, "drop_path": 0.0,
        "teacher_temperature": 0.04, "teacher_temperature_warm_up_epochs": 0, "teacher_momentum": 0.98,
    },
}  # fmt: skip
LOSS_MARGIN = 0.3  # nats below the reference line, at least
KNN_MARGIN = 3.0  # points above the encoder before its first step, at least


def settings_of(method: str) -> dict[str, Any]:
    """The method's run of the tests of this folder, with what is set here; an augmentation by its fields."""
    run = copy.deepcopy({**made.RUNS, **made_multicrop.RUNS}[method])
    changes = {**SETTINGS[method], "augmentation": {**run["augmentation"], **SETTINGS[method]["augmentation"]}}
    return {**run, **changes, "augmentation_backend": "opencv", "checkpoint_every_steps": 100_000}


@pytest.fixture(scope="module")
def photographs(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple[list[Path], list[Path]], Path]:
    """Shards of the first 2,000 of CIFAR-10's train images by a keyed hash, and a labelled sample of the next 2,000."""
    folder = tmp_path_factory.mktemp("cifar10")
    with tarfile.open(shared / "cifar10_train.tar") as tar:
        members = sorted((each for each in tar if each.isfile()), key=lambda each: rank(0, "learning", each.name))
        read = {each.name: tar.extractfile(each) for each in members[: 2 * IMAGES]}
        files = [(name, stream.read()) for name, stream in read.items() if stream is not None]
    classes = sorted({name.partition("/")[0] for name, _ in files})
    labels = np.array([classes.index(name.partition("/")[0]) for name, _ in files[IMAGES:]], dtype=np.int64)
    pixels = np.stack([decode_image(content) for _, content in files[IMAGES:]])
    write_sample(folder / "sample", LabelledSample("cifar10", pixels, labels, len(classes)))
    contents = {derived_id("made", name): content for name, content in files[:IMAGES]}
    return write_shards(folder / "shards", contents, 1), folder / "sample"


def columns(path: Path) -> dict[str, list[float]]:
    rows = list(csv.DictReader(path.open()))
    return {name: [float(row[name] or "nan") for row in rows] for name in rows[0]}


@pytest.mark.slow
@pytest.mark.parametrize("method", sorted(SETTINGS))
def test_it_learns(method: str, photographs: tuple[tuple[list[Path], list[Path]], Path], tmp_path: Path) -> None:
    shards, sample = photographs
    recipe = canonical_json({"run": settings_of(method)})
    began = time.process_time()
    watched = ["--monitor-recipe", canonical_json(MONITOR), "--monitor-sample", str(sample)]
    main([*flags(shards, tmp_path, recipe), *watched])
    seconds = time.process_time() - began
    run, _ = load_run(recipe)
    metrics, monitor = columns(tmp_path / "metrics.csv"), columns(tmp_path / "monitor.csv")
    loss, line, knn = final_value(metrics["loss"]), run.reference_loss.value, monitor["knn"]
    print(
        f"\n{method}: {seconds:.0f} CPU-seconds, loss {loss:.2f} of {line:.2f} ({run.reference_loss.formula}), "
        f"kNN {knn[0]:.1f} -> {knn[-1]:.1f} % (all: {', '.join(f'{each:.1f}' for each in knn)})"
    )
    assert loss < line - LOSS_MARGIN
    assert knn[-1] > knn[0] + KNN_MARGIN
    assert worst(diagnose(run, metrics, monitor)) != BAD
