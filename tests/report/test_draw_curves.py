from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from scripts.lib.errors import UserError
from scripts.pretrain.settings import ReferenceLoss
from scripts.report.draw_curves import diagnose, main, read_metrics, running_mean, thinned
from tests.report.made import train_recipe

LINE = ReferenceLoss(math.log(513), "ln(1 + K), K = 512")


def write_metrics(path: Path, losses: Iterable[object], header: str = "step,epoch,loss,learning_rate,accuracy"):
    rows = [f"{step},{step // 4},{loss},0.06,0.5" for step, loss in enumerate(losses, start=1)]
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def draw(folder: Path, metrics: Path, name: str):
    png, svg = folder / f"{name}.png", folder / f"{name}.svg"
    recipe = train_recipe(queue_size=512)
    main(["--recipe", recipe, "--metrics", str(metrics), "--png", str(png), "--svg", str(svg)])
    return png.read_bytes(), svg.read_bytes()


def test_curves_say_whether_the_run_learns_and_are_the_same_bytes_each_time(tmp_path: Path):
    metrics = write_metrics(tmp_path / "metrics.csv", np.linspace(6.2, 4.0, 40))
    first = draw(tmp_path, metrics, "a")
    assert first == draw(tmp_path, metrics, "b")
    svg = first[1].decode()
    assert "it learns" in svg and "ln(1 + K), K = 512" in svg and "run_one" in svg


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (4.0, "2.240 below ln(1 + K) = 6.240: it learns"),
        (LINE.value, "at ln(1 + K) = 6.240: collapsed, or not started"),
        (LINE.value * 0.981, "collapsed"),
        (LINE.value * 0.979, "learns"),
        (LINE.value * 1.021, "worse than guessing"),
    ],
)
def test_diagnosis(loss: float, words: str):
    assert words in diagnose(np.full(50, loss), LINE)


def test_only_the_end_of_the_curve_is_judged():
    assert "learns" in diagnose(np.array([9.0] * 95 + [3.0] * 5), LINE)


def test_a_diverged_run_is_drawn_and_said_to_have_diverged(tmp_path: Path):
    metrics = write_metrics(tmp_path / "metrics.csv", [6.0, 5.0, "nan", "inf"])
    assert "stops being a finite number in row 3 of 4: the run diverged" in draw(tmp_path, metrics, "a")[1].decode()


def test_a_run_of_one_step_and_one_without_finite_loss_can_be_drawn(tmp_path: Path):
    assert draw(tmp_path, write_metrics(tmp_path / "one.csv", [6.0]), "a")[0].startswith(b"\x89PNG")
    assert draw(tmp_path, write_metrics(tmp_path / "nan.csv", ["nan"]), "b")[0].startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("step,epoch,loss,learning_rate\n", "has no rows: the run took no step"),
        ("step,epoch,loss\n1,0,6\n", "has no column learning_rate"),
        ("", "has no column step, epoch, loss, learning_rate"),
        ("step,epoch,loss,learning_rate\n1,0,six,0.1\n", "line 2: loss is 'six', expected a number"),
    ],
)
def test_what_cannot_be_drawn_is_said(tmp_path: Path, text: str, words: str):
    path = tmp_path / "metrics.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=words):
        read_metrics(path)


@pytest.mark.parametrize("width", [1, 2, 3, 8, 50])
def test_running_mean_against_a_loop(width: int):
    values = np.random.default_rng(0).normal(size=31)
    half = width // 2
    naive = [np.mean(values[max(0, row - half) : row + half + 1]) for row in range(31)]
    assert running_mean(values, width) == pytest.approx(naive)


def test_thinning_keeps_the_extremes_and_the_order():
    steps, values = np.arange(10_000.0), np.zeros(10_000)
    values[[17, 4321, 9999]] = 5, -3, 7
    x, y = thinned(steps, values, 600)
    assert len(x) <= 600 and list(x) == sorted(x)
    assert {5.0, -3.0, 7.0} <= set(y)
    assert (
        thinned(steps[:600], values[:600], 600)[0] is not None
        and len(thinned(steps[:600], values[:600], 600)[0]) == 600
    )
