from __future__ import annotations

import csv
import json
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scripts.lib.errors import UserError
from scripts.pretrain import diagnose_run, train, watch
from scripts.pretrain.advice import advice_against_collapse
from scripts.pretrain.contract import Position
from scripts.pretrain.diagnosis import Finding, diagnose, epochs_at_line, final_value, worst
from scripts.pretrain.metrics import Metrics
from scripts.pretrain.monitor import HEADER, Monitor
from scripts.pretrain.settings import RunBase
from scripts.pretrain.train import load_run
from tests.pretrain import made, made_multicrop

EPOCHS, STEPS = 10, 20
UNTOLD: dict[str, list[float]] = {name: [] for name in HEADER}


def run_of(method: str, **changes: Any) -> RunBase:
    text = made.recipe(method, **changes) if method in made.RUNS else made_multicrop.recipe(method, **changes)
    run: RunBase = load_run(text)[0]
    return run


def curves(loss: float | list[float], **others: float) -> dict[str, list[float]]:
    """Ten epochs of twenty rows; a single loss stays, a list is one value for each epoch."""
    by_epoch = loss if isinstance(loss, list) else [loss] * EPOCHS
    rows = range(EPOCHS * STEPS)
    found = {"step": [row + 1.0 for row in rows], "epoch": [row // STEPS + 1.0 for row in rows]}
    found["loss"] = [by_epoch[row // STEPS] for row in rows]
    return found | {name: [value] * len(rows) for name, value in {"feature_std": 0.9, **others}.items()}


def looks(knn: list[float], rank_me: list[float], images: int = 2000) -> dict[str, list[float]]:
    count = len(rank_me)
    return {
        "knn": knn or [math.nan] * count,
        "chance": [10.0] * count,
        "rank_me": rank_me,
        "dimensions": [512.0] * count,
        "images": [float(images)] * count,
    }


def texts(findings: list[Finding], level: str) -> str:
    return " ".join(finding.text for finding in findings if finding.level == level)


def line(run: RunBase) -> float:
    return run.reference_loss.value


def test_a_run_that_learns() -> None:
    found = diagnose(run_of("moco_v2"), curves(1.2), looks([35.0, 40.0, 52.0], [20.0, 60.0, 110.0]))
    assert [finding.level for finding in found] == ["good", "good", "good"] and worst(found) == "good"
    assert "2.297 below ln(1 + K) = 3.497: it learns to tell images apart." in texts(found, "good")
    assert "RankMe is 110.0 of 512, 20.0 before the first step." in texts(found, "good")
    assert "kNN accuracy is 52.0 %, the untrained encoder's 35.0 %, chance 10.0 %." in texts(found, "good")
    assert not any(finding.advice for finding in found)


@pytest.mark.parametrize(
    ("ratio", "level"), [(0.5, "good"), (0.979, "good"), (0.981, "bad"), (1.0, "bad"), (1.019, "bad"), (1.3, "bad")]
)
def test_the_loss_beside_its_line(ratio: float, level: str) -> None:
    run = run_of("simclr")
    (found,) = diagnose(run, curves(ratio * line(run)), UNTOLD)
    assert found.level == level
    assert ("stuck at ln(2N - 1)" in found.text) == (0.98 <= ratio <= 1.02)
    assert ("worse than guessing" in found.text) == (ratio > 1.02)
    assert bool(found.advice) == (level == "bad")


def test_stuck_is_counted_in_epochs() -> None:
    run = run_of("swav")
    away = [1.4 * line(run)] * 3 + [line(run)] * 7
    found = diagnose(run, curves(away, assignment_entropy=2.0, assignment_information=1.0), UNTOLD)
    assert "stuck at ln(prototypes) = 3.401 for the last 7 of 10 epochs: collapsed, or not learning." in found[0].text
    for words in ("sinkhorn_epsilon (0.025; now 0.05)", "freeze_prototypes_steps (now 2)", "hard assignments"):
        assert words in found[0].advice


def test_epochs_at_the_line_by_hand() -> None:
    epoch = np.repeat([1.0, 2.0, 3.0], 2)
    assert epochs_at_line(np.array([5.0, 5.0, 5, 5, 5, 5]), epoch, 5.0) == 3
    assert epochs_at_line(np.array([5.0, 5.0, 3, 3, 5, 5]), epoch, 5.0) == 1
    assert epochs_at_line(np.array([5.0, 5.0, 5, 5, 3, 3]), epoch, 5.0) == 0
    assert epochs_at_line(np.array([5.0, 5.0, 4, 6, 5, 5]), epoch, 5.0) == 3  # the mean counts


def test_only_the_end_is_judged() -> None:
    assert final_value([9.0] * 95 + [3.0] * 5) == 3.0 and final_value([7.0]) == 7.0
    assert math.isnan(final_value([1.0] * 99 + [math.nan]))


def test_a_loss_that_is_no_number() -> None:
    values = curves(3.0)
    values["loss"][17] = math.inf
    found = diagnose(run_of("moco_v2"), values, UNTOLD)
    assert "in row 18 of 200: the run diverged." in found[0].text and "precision bf16 or fp32" in found[0].advice


@pytest.mark.parametrize(
    ("entropy", "words"),
    [
        (0.01, "one output of the teacher takes every image (entropy 0.01 of at most 3.69)"),
        (3.68, "every image belongs equally to every output of the teacher (entropy 3.68 of at most 3.69: uniform)"),
        (1.5, "every image has the same mixture of them"),
    ],
)
def test_outputs_that_tell_nothing(entropy: float, words: str) -> None:
    """Also where the loss is far below its line: a collapse onto one output makes it 0."""
    found = diagnose(run_of("dino"), curves(0.01, teacher_entropy=entropy, teacher_information=0.001), UNTOLD)
    assert words in texts(found, "bad") and "0.001 nats about an image, where 2.08 are possible" in texts(found, "bad")
    assert "learns" not in texts(found, "good") and "proves nothing here" in texts(found, "watch")


def test_sharp_outputs_are_no_collapse() -> None:
    """An entropy of 0 is what a sure teacher has; only all images together tell it from a collapse."""
    found = diagnose(run_of("dino"), curves(1.0, teacher_entropy=0.01, teacher_information=1.9), UNTOLD)
    assert [finding.level for finding in found] == ["good"]
    found = diagnose(run_of("swav"), curves(1.0, assignment_entropy=0.01, assignment_information=1.9), UNTOLD)
    assert [finding.level for finding in found] == ["good"]


@pytest.mark.parametrize(("spread", "level"), [(0.01, "bad"), (0.1, "watch"), (0.2, "good")])
def test_features_that_are_all_alike(spread: float, level: str) -> None:
    found = diagnose(run_of("moco_v2"), curves(1.0, feature_std=spread), UNTOLD)
    assert worst(found) == level
    if level == "bad":
        assert "All images get nearly the same features (feature deviation 0.010; 1 =" in texts(found, "bad")


@pytest.mark.parametrize(
    ("ranks", "level"), [([20.0, 3.0], "bad"), ([3.0], "bad"), ([40.0, 20.0], "watch"), ([40.0, 35.0], "good")]
)
def test_directions(ranks: list[float], level: str) -> None:
    found = diagnose(run_of("moco_v2"), curves(1.0), looks([], ranks))
    assert worst(found) == level
    if level == "bad":
        assert "RankMe is 3.0 of 512: the features vary in hardly any direction." in texts(found, "bad")


@pytest.mark.parametrize(
    ("knn", "level", "words"),
    [
        ([35.0, 36.0, 31.0], "bad", "kNN accuracy is 31.0 %, the untrained encoder's 35.0 %, chance 10.0 %: training"),
        ([35.0, 36.0, 36.0], "watch", "no better, within 3.0 points of doubt (2000 images)"),
        ([35.0, 60.0, 50.0], "watch", "it was 60.0 % and fell"),
        ([35.0, 51.0, 50.0], "good", "kNN accuracy is 50.0 %"),
    ],
)
def test_neighbours_beside_the_untrained_encoder(knn: list[float], level: str, words: str) -> None:
    found = diagnose(run_of("moco_v2"), curves(1.0), looks(knn, [20.0, 30.0, 40.0]))
    assert worst(found) == level and words in texts(found, level)


def test_few_images_leave_much_doubt() -> None:
    found = diagnose(run_of("moco_v2"), curves(1.0), looks([35.0, 31.0], [20.0, 30.0], images=200))
    assert worst(found) == "watch" and "within 9.4 points of doubt (200 images)" in texts(found, "watch")


@pytest.mark.parametrize("method", [*made.RUNS, *made_multicrop.RUNS])
def test_each_method_has_advice_with_its_own_settings(method: str) -> None:
    run = run_of(method)
    said = advice_against_collapse(run)
    assert "now " in said and f"{run.learning_rate:g}" in said  # type: ignore[attr-defined]
    assert len({advice_against_collapse(run_of(each)) for each in [*made.RUNS, *made_multicrop.RUNS]}) >= 4


def test_advice_is_given_once() -> None:
    values = curves(line(run_of("dino")), teacher_entropy=3.68, teacher_information=0.0, feature_std=0.001)
    found = diagnose(run_of("dino"), values, UNTOLD)
    assert len(found) == 3 and [bool(finding.advice) for finding in found] == [True, False, False]


def warnings_of(loss: float, caplog: pytest.LogCaptureFixture) -> list[str]:
    """What a run of ten epochs says while it goes."""
    run = run_of("simclr", epochs=10)
    metrics, monitor = Metrics(("feature_std",), 50), Monitor(None, None)
    folder = Path("not/there")
    seen = watch.Watch(run, Position(0, 5, 10), metrics=metrics, monitor=monitor, folder=None, workers=0, views=folder)
    with caplog.at_level(logging.INFO):
        for step in range(50):
            metrics.rows.append([str(step + 1), str(step // 5 + 1), f"{loss}", "0.1", "0.9"])
            seen.step(Position(step, 5, 10), loss)
        seen.close()
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_bad_run_is_warned_of_once_and_named_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    first, last = warnings_of(line(run_of("simclr")), caplog)
    assert first.startswith("after epoch 3: The loss is 2.708, stuck at ln(2N - 1) = 2.708 for the last 3 of 3 epochs")
    assert last.startswith("bad: The loss is 2.708, stuck at ln(2N - 1) = 2.708 for the last 10 of 10 epochs")


def test_a_good_run_is_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    assert warnings_of(1.0, caplog) == []


def flags(folder: Path, text: str) -> list[str]:
    files = ["--metrics", str(folder / "metrics.csv"), "--monitor", str(folder / "monitor.csv")]
    return ["--recipe", text, *files, "--out", str(folder / "out.json")]


def test_a_real_collapse_is_named(tmp_path: Path) -> None:
    """DINO without centring: its loss falls to nothing, and every image has the same output."""
    shards = made.make_shards(tmp_path / "shards", 26)
    hasty = {"teacher_momentum": 0.5, "freeze_last_layer_epochs": 0, "warm_up_epochs": 0, "drop_path": 0.0}
    text = made_multicrop.recipe("dino", centre_momentum=1.0, epochs=12, **hasty)
    train.main(made.flags(shards, tmp_path, text))
    diagnose_run.main(flags(tmp_path, text))
    with (tmp_path / "metrics.csv").open() as handle:
        assert float(list(csv.DictReader(handle))[-1]["loss"]) < 1.0  # of a reference line of 3.69
    said = json.loads((tmp_path / "out.json").read_text())
    assert said["run"] == "tiny" and said["level"] == "bad"
    assert "Collapsed: one output of the teacher takes every image" in said["findings"][0]["text"]
    assert "centre_momentum below 1, now 1" in said["findings"][0]["advice"]


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ("step,epoch,loss,learning_rate\n", "has no rows: the run took no step"),
        ("step,epoch,loss\n1,1,6\n", "has no column learning_rate"),
        ("step,epoch,loss,learning_rate\n1,1,six,0.1\n", "line 2: loss is 'six', expected a number"),
    ],
)
def test_what_cannot_be_diagnosed_is_said(tmp_path: Path, metrics: str, words: str) -> None:
    (tmp_path / "metrics.csv").write_text(metrics)
    (tmp_path / "monitor.csv").write_text(",".join(HEADER) + "\n")
    with pytest.raises(UserError, match=words):
        diagnose_run.main(flags(tmp_path, made.recipe()))
