from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from scripts.evaluate import rank_me
from scripts.evaluate.settings_protocols import RankMeSettings
from scripts.lib.effective_rank import effective_rank
from tests.evaluate.made import made_features, run_main


def test_effective_rank_by_hand():
    # Singular values 3 and 1: shares 3/4 and 1/4.
    expected = np.exp(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))
    assert effective_rank(np.array([[3.0, 0.0], [0.0, 1.0]])) == pytest.approx(expected, abs=1e-5)
    assert effective_rank(np.ones((20, 6))) == pytest.approx(1, abs=1e-4)
    assert effective_rank(np.eye(8)) == pytest.approx(8, abs=1e-4)
    assert effective_rank(np.zeros((4, 3))) == 1


def test_equals_the_formula_on_numpys_singular_values():
    rows = np.random.default_rng(0).normal(size=(60, 30)) * np.arange(1, 31) ** -1.5
    values = np.linalg.svd(rows, compute_uv=False)
    shares = values / values.sum() + 1e-7
    assert effective_rank(rows) == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), rel=1e-6)


def test_main_takes_a_seeded_part(tmp_path: Path):
    features = made_features(100, 10)
    settings = RankMeSettings(tasks=None, max_images=1000, seed=0)
    (whole,), _ = run_main(rank_me, tmp_path / "whole", features, settings, predictions=False)
    (part,), _ = run_main(rank_me, tmp_path / "part", features, settings.model_copy(update={"max_images": 50}), False)
    assert float(whole["value"]) == pytest.approx(effective_rank(features.train_features), abs=1e-3)
    assert (whole["n"], whole["seed"], part["n"], part["seed"]) == ("100", "", "50", "0")
    assert whole["chance"] == "1.0000" and json.loads(whole["settings"])["dimensions"] == 40
