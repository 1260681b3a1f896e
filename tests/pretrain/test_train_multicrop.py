"""The methods with several crops, through the engine."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from safetensors.torch import load_file

from scripts.lib.encoders import load_encoder
from scripts.pretrain.train import load_run, main
from tests.pretrain.made import flags, make_shards
from tests.pretrain.made_multicrop import CROP, RUNS, SMALL, recipe
from tests.pretrain.test_train import IMAGES, Shards, live, results

CALM = {f"{name}_probability": 0.0 for name in ("flip", "jitter", "grey", "blur", "solarise")}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    return make_shards(tmp_path_factory.mktemp("shards"), IMAGES)


# Nine steps, checkpoints after steps 2, 3, 4, 6 and 8. SwAV's queue fills in the second epoch and is used in the third.
@pytest.mark.parametrize("method", sorted(RUNS))
def test_killed_and_continued_is_bit_for_bit_the_uninterrupted_run(method: str, shards: Shards, tmp_path: Path) -> None:
    text = recipe(method) if method == "dino" else recipe(method, encoder="resnet_tiny_test")
    live(flags(shards, tmp_path / "whole", text), [])
    log = live(flags(shards, tmp_path / "killed", text), [5], workers=2)
    assert "continues after step 4 of 9" in log
    assert results(tmp_path / "killed") == results(tmp_path / "whole")
    trained, untrained = (load_file(tmp_path / "whole" / f"{name}.safetensors") for name in ("encoder", "untrained"))
    assert any(not trained[name].equal(untrained[name]) for name in trained)
    _, description = load_encoder(tmp_path / "whole" / "encoder.safetensors")
    assert description["encoder"].endswith("_tiny_test") and description["image_size"] == 32
    assert description["interpolation"] == "bilinear"


OVERFIT: dict[str, dict[str, object]] = {
    "dino": {
        "final_learning_rate": 0.00001,
        "final_weight_decay": 0.04,
        "drop_path": 0.0,
        "freeze_last_layer_epochs": 0,
        "epochs": 100,
    },
    "swav": {"learning_rate": 3.0, "first_learning_rate": 3.0, "queue_size": 0, "freeze_prototypes_steps": 0},
}


@pytest.mark.parametrize("method", sorted(RUNS))
def test_one_batch_is_learnt(method: str, tmp_path: Path) -> None:
    """Eight drawings, hardly changed from crop to crop: the loss nears the entropy of its targets, its lower bound."""
    large = {**CROP, **CALM, "crop_scale": [0.9, 1.0]}
    crops = {"crops": [large, {**SMALL, **CALM, "count": 1, "crop_scale": [0.8, 1.0]}]}
    text = recipe(method, **{"epochs": 40, "augmentation": crops, "checkpoint_every_steps": 1000, **OVERFIT[method]})
    main(flags(make_shards(tmp_path / "shards", 8), tmp_path / "out", text))
    rows = list(csv.DictReader((tmp_path / "out" / "metrics.csv").open()))
    entropy = {"swav": "assignment_entropy", "dino": "teacher_entropy"}[method]
    above = [float(row["loss"]) - float(row[entropy]) for row in rows]
    assert sum(above[-5:]) / 5 < 0.15 * above[0]
    assert float(rows[-1]["loss"]) < load_run(text)[0].reference_loss.value
    assert float(rows[-1]["feature_std"]) > 0.3  # no collapse
