"""Class B by hand: scores, decisions, embeddings, losses. Class C by simulation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import safetensors.numpy

from scripts.audit.closeness import closeness, compare_embeddings, compare_losses, compare_scores, thresholds_of
from scripts.audit.equivalence import judge_figures
from scripts.lib.files import write_table
from scripts.lib.tables import DETECTIONS


def table(path: Path, scores: list[float]) -> Path:
    rows = [
        {"image_id": f"i{n}", "reason": "", "detail": "", "score": score, "count": 1, "boxes": []}
        for n, score in enumerate(scores)
    ]
    write_table(path, pa.Table.from_pylist(rows, schema=DETECTIONS))
    return path


@pytest.mark.parametrize(
    ("scores", "verdict", "said"),
    [
        ([0.2, 0.49996], "close", "differ by at most"),
        ([0.20009, 0.49996], "close", "9e-05 (i0)"),
        ([0.2002, 0.49996], "different", "0.0002 (i0)"),  # farther than 1e-4
        ([0.2, 0.50002], "close", "1 decisions turn: i1 at 0.5"),  # 6e-5 apart, on two sides of the threshold
        ([0.2], "different", "other rows"),
    ],
)
def test_scores(scores: list[float], verdict: str, said: str, tmp_path: Path) -> None:
    one, other = table(tmp_path / "a.parquet", [0.2, 0.49996]), table(tmp_path / "b.parquet", scores)
    found = compare_scores(one, other, [0.5])
    assert found.verdict == verdict
    assert said in found.text


def test_two_turned_decisions_of_few_rows_are_too_many(tmp_path: Path) -> None:
    one, other = table(tmp_path / "a.parquet", [0.49999, 0.49999]), table(tmp_path / "b.parquet", [0.50001, 0.50001])
    assert compare_scores(one, other, [0.5]).verdict == "different"


def test_thresholds_are_those_of_the_recorded_rules(tmp_path: Path) -> None:
    rules = [{"drop": {"a": 0.5, "b": 0.9}, "review": {"a": [0.3, 0.5]}}]
    records = [
        {"step": "filter.judge", "values": {"recipe": {"rules": rules}}},
        {"step": "filter.select", "values": {}},
    ]
    assert thresholds_of(records, "a") == [0.3, 0.5]
    output = {"path": "results/filter/detect_faces/b/0.parquet", "sha256": ""}
    one, other = table(tmp_path / "a.parquet", [0.89999]), table(tmp_path / "b.parquet", [0.90001])
    assert "i0 at 0.9" in closeness("filter.detect_faces", output, one, other, records).text
    assert closeness("evaluate.knn", {"path": "results/x.csv"}, one, other, []).verdict == "undecidable"


def test_embeddings(tmp_path: Path) -> None:
    features = np.random.default_rng(0).standard_normal((6, 32)).astype(np.float32)
    features[5] = 0
    labels = np.arange(6)

    def written(name: str, values: np.ndarray, ids: np.ndarray = labels) -> Path:
        path = tmp_path / name
        path.write_bytes(safetensors.numpy.save({"train_features": values, "train_labels": ids}))
        return path

    one = written("one", features)
    near, turned = features * (1 + 1e-3), features.copy()
    near[0, 0] += 0.01
    turned[2] = np.roll(turned[2], 1)
    assert compare_embeddings(one, written("near", near.astype(np.float32))).verdict == "close"
    assert compare_embeddings(one, written("turned", turned)).verdict == "different"
    assert compare_embeddings(one, written("labels", features, labels[::-1].copy())).verdict == "different"


def test_losses_of_the_first_steps() -> None:
    losses = dict.fromkeys(range(1, 21), 5.0)
    assert compare_losses(losses, losses).verdict == "close"
    assert compare_losses(losses, losses | {1: 5.0 * (1 + 2e-6)}).verdict == "different"
    assert compare_losses(losses, losses | {2: 5.0 * (1 + 9e-6)}).verdict == "close"
    found = compare_losses(losses, losses | {8: 5.0 * (1 + 2e-5)})
    assert found.verdict == "different" and "step 8" in found.text
    assert compare_losses(losses, losses | {9: 50.0}).verdict == "close"  # it says nothing any more
    assert compare_losses({4: 5.0}, losses).verdict == "undecidable"
    assert compare_losses(losses, losses | {3: float("nan")}).verdict == "different"


def test_one_seed_is_undecidable() -> None:
    assert judge_figures([70.0], [60.0]).verdict == "undecidable"
    assert judge_figures([70.0, 70.1], [60.0] * 9).verdict == "undecidable"


def test_figures_by_hand() -> None:
    # Means 70 and 70.2, pooled deviation 0.1, error 0.1 sqrt(2/3) = 0.0816; t(0.975, 4) = 2.776: ± 0.2267.
    found = judge_figures([69.9, 70.0, 70.1], [70.1, 70.2, 70.3])
    assert found.verdict == "consistent" and "± 0.23 is expected" in found.text  # 0.2 + 2.132 x 0.0816 = 0.374 < 0.5
    assert judge_figures([69.9, 70.0, 70.1], [70.2, 70.3, 70.4]).verdict == "different"
    assert judge_figures([69.0, 70.0, 71.0], [69.0, 70.0, 71.0]).verdict == "undecidable"  # equal, and yet too wide
    assert judge_figures([69.9, 70.0, 70.1], [70.1, 70.2, 70.3], margin=0.3).verdict == "undecidable"
    assert judge_figures([69.9, 70.0, 70.1], [70.2, 70.3, 70.4], of=20).verdict == "consistent"


def test_power_and_false_alarms() -> None:
    numbers = np.random.default_rng(0)
    rounds = 2000

    def alarms(shift: float, deviation: float, of: int = 1) -> float:
        pairs = ((numbers.normal(70, deviation, 5), numbers.normal(70 + shift, deviation, 5)) for _ in range(rounds))
        return sum(judge_figures(a, b, of=of).verdict == "different" for a, b in pairs) / rounds

    assert alarms(-1, 0.3) >= 0.9  # a planted regression of one point at five seeds
    assert alarms(-1, 0.4) >= 0.9
    assert alarms(0, 0.3) <= 0.05 + 3 * (0.05 * 0.95 / rounds) ** 0.5
    assert alarms(0, 0.3, of=10) <= 0.005 + 3 * (0.005 * 0.995 / rounds) ** 0.5
