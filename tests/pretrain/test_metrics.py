from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from scripts.lib.errors import UserError
from scripts.pretrain.contract import Position
from scripts.pretrain.metrics import MAX_ROWS, Metrics, entropy_and_information


def values(step: int) -> dict[str, torch.Tensor]:
    return {"loss": torch.tensor(float(step)), "accuracy": torch.tensor(0.5), "ignored": torch.tensor(1.0)}


def fill(metrics: Metrics, steps: range, total: int) -> None:
    for step in steps:
        metrics.record(Position(step, 10, total // 10), 0.1, values(step))


def test_short_runs_have_a_row_for_each_step(tmp_path: Path) -> None:
    metrics = Metrics(("accuracy",), 20)
    fill(metrics, range(20), 20)
    metrics.write(tmp_path / "m.csv")
    lines = (tmp_path / "m.csv").read_text().splitlines()
    assert lines[0] == "step,epoch,loss,learning_rate,accuracy"
    assert lines[1] == "1,1,0,0.1,0.5" and lines[-1] == "20,2,19,0.1,0.5" and len(lines) == 21


def test_long_runs_have_means_over_windows() -> None:
    total = 3 * MAX_ROWS - 10
    metrics = Metrics(("accuracy",), total)
    fill(metrics, range(total), total)
    assert metrics.window == 3 and len(metrics.rows) == math.ceil(total / 3) <= MAX_ROWS
    assert metrics.rows[0][:3] == ["3", "1", "1"]  # mean of 0, 1, 2
    assert metrics.rows[-1][0] == str(total)


@pytest.mark.parametrize("cut", [1, 7, 3000, 5989])
def test_restored_metrics_continue_as_if_nothing_had_happened(cut: int) -> None:
    total = 3 * MAX_ROWS - 10
    whole, first, second = (Metrics(("accuracy",), total) for _ in range(3))
    fill(whole, range(total), total)
    fill(first, range(cut), total)
    second.restore(first.state())
    fill(second, range(cut, total), total)
    assert second.rows == whole.rows


def test_infinite_loss_stops_the_run() -> None:
    metrics = Metrics((), 20)
    with pytest.raises(UserError, match=r"not a finite number at step 4; lower learning_rate"):
        metrics.record(Position(3, 10, 2), 0.1, {"loss": torch.tensor(float("nan"))})


def test_information_is_that_between_image_and_output() -> None:
    targets = torch.rand(2, 5, 7, generator=torch.Generator().manual_seed(0)).softmax(dim=2)
    mean = [sum(float(p) for p in targets[..., k].flatten()) / 10 for k in range(7)]
    naive = sum(
        float(p) * math.log(float(p) / mean[k]) for row in targets.flatten(0, 1) for k, p in enumerate(row)
    )  # Kullback-Leibler divergence from the mean, summed
    entropy, information = entropy_and_information(targets)
    assert float(information) == pytest.approx(naive / 10, abs=1e-6)
    assert float(entropy) == pytest.approx(-sum(float(p) * math.log(float(p)) for p in targets.flatten()) / 10)


def test_both_ways_to_collapse_hold_no_information() -> None:
    one = torch.eye(4)[torch.zeros(6, dtype=torch.long)]
    all_alike = torch.full((6, 4), 0.25)
    known = [[float(each) for each in entropy_and_information(targets)] for targets in (one, all_alike, torch.eye(4))]
    assert known[0] == [0, 0] and known[1] == pytest.approx([math.log(4), 0], abs=1e-6)
    assert known[2] == pytest.approx([0, math.log(4)])


def test_columns_are_numbers() -> None:
    metrics = Metrics(("accuracy",), 20)
    fill(metrics, range(3), 20)
    assert metrics.columns() == {
        "step": [1, 2, 3], "epoch": [1, 1, 1], "loss": [0, 1, 2], "learning_rate": [0.1] * 3, "accuracy": [0.5] * 3
    }  # fmt: skip
