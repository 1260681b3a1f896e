from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from scripts.evaluate import apply_head
from scripts.evaluate.apply_head import main
from scripts.evaluate.features import Features, load_features, save_features
from scripts.lib.errors import UserError
from scripts.lib.files import sha256_file
from scripts.lib.heads import save_head
from tests.evaluate.made import made_features, several_labels


def made_head(inputs: int = 40) -> nn.Sequential:
    torch.manual_seed(0)
    head = nn.Sequential(nn.Linear(inputs, 20), nn.BatchNorm1d(20), nn.ReLU(), nn.Linear(20, 8))
    head.train()(torch.randn(50, inputs))
    return head.eval()


def run(folder: Path, features: Features, head: nn.Sequential) -> Features:
    save_features(folder / "features", features)
    save_head(folder / "head", head, {"run": "r"})
    for name in ("first", "second"):
        main(["--features", str(folder / "features"), "--head", str(folder / "head"), "--out", str(folder / name)])
    assert (folder / "first").read_bytes() == (folder / "second").read_bytes()
    return load_features(folder / "first", ("train_accepted", "test_accepted", "train_blocks"))


def test_features_after_the_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply_head, "BLOCK_ROWS", 16)  # 50 rows: a block that is not full
    features, head = made_features(50, 10), made_head()
    found = run(tmp_path, features, head)
    with torch.inference_mode():
        assert np.allclose(found.train_features, head(torch.from_numpy(features.train_features)), atol=1e-5)
        assert np.allclose(found.test_features, head(torch.from_numpy(features.test_features)), atol=1e-5)
    assert found.train_features.shape == (50, 8) and found.train_features.dtype == np.float32
    assert np.array_equal(found.train_labels, features.train_labels)
    assert np.array_equal(found.test_labels, features.test_labels)
    assert found.inputs == {**features.inputs, "head_sha256": sha256_file(tmp_path / "head")}
    assert found.description["class_names"] == features.description["class_names"]


def test_accepted_labels_stay_and_blocks_of_the_encoder_go(tmp_path: Path) -> None:
    features = several_labels(30, 12)
    features = Features(
        *(getattr(features, f"{split}_{what}") for split in ("train", "test") for what in ("features", "labels")),
        description=features.description,
        extras={**features.extras, "train_blocks": np.zeros((30, 2, 30), dtype=np.float32)},
    )
    found = run(tmp_path, features, made_head(30))
    assert found.multi_label and set(found.extras) == {"train_accepted", "test_accepted"}
    assert np.array_equal(found.extras["test_accepted"], features.extras["test_accepted"])


def test_a_head_of_another_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="takes features of 30 dimensions and the cached ones have 40"):
        run(tmp_path, made_features(20, 5), made_head(30))


def test_a_head_that_diverged_is_refused(tmp_path: Path) -> None:
    head = made_head()
    with torch.no_grad():
        head[3].bias.fill_(float("nan"))
    with pytest.raises(UserError, match="not finite"):
        run(tmp_path, made_features(20, 5), head)
