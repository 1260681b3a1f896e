from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from scripts.lib.errors import UserError
from scripts.report.draw_curves import main, read_looks, read_metrics, running_mean, thinned
from tests.report.made import train_recipe


def write_metrics(path: Path, losses: Iterable[object], header: str = "step,epoch,loss,learning_rate,accuracy"):
    rows = [f"{step},{step // 4},{loss},0.06,0.5" for step, loss in enumerate(losses, start=1)]
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


LOOKS = "step,epoch,knn,chance,rank_me,feature_std,dimensions,images"


def write_looks(path: Path, rows: Iterable[str] = ()) -> Path:
    path.write_text("\n".join([LOOKS, *rows]) + "\n")
    return path


def draw(folder: Path, metrics: Path, name: str, looks: Iterable[str] = ()):
    png, svg = folder / f"{name}.png", folder / f"{name}.svg"
    recipe, monitor = train_recipe(queue_size=512), write_looks(folder / "monitor.csv", looks)
    main(
        ["--recipe", recipe, "--metrics", str(metrics), "--monitor", str(monitor), "--png", str(png), "--svg", str(svg)]
    )
    return png.read_bytes(), svg.read_bytes()


def test_curves_have_their_reference_line_and_are_the_same_bytes_each_time(tmp_path: Path):
    metrics = write_metrics(tmp_path / "metrics.csv", np.linspace(6.2, 4.0, 40))
    first = draw(tmp_path, metrics, "a")
    assert first == draw(tmp_path, metrics, "b")
    svg = first[1].decode()
    assert "ln(1 + K), K = 512: 6.240" in svg and "run_one" in svg
    assert "Loss of 11 epochs, from 6.200 to 4.000" in svg
    for missing in ("RankMe", "accuracy", "deviation"):
        assert missing not in svg


def test_what_the_monitor_saw_is_drawn_where_there_is_something(tmp_path: Path):
    header = "step,epoch,loss,learning_rate,feature_std"
    metrics = write_metrics(tmp_path / "metrics.csv", np.linspace(6.2, 4.0, 40), header)
    labelled = draw(tmp_path, metrics, "a", ["0,0,35.0,10,20.5,0.4,512,2000", "40,10,52.5,10,110,0.6,512,2000"])[1]
    svg = labelled.decode()
    assert "kNN accuracy from 35.0 % to 52.5 %. RankMe from 20.5 to 110.0." in svg
    for there in ("before the first step", "chance", "RankMe", "deviation", "of the encoder", "collapse"):
        assert there in svg, there
    without = draw(tmp_path, metrics, "b", ["0,0,,,20.5,0.4,512,2000"])[1].decode()
    assert "RankMe" in without and "chance" not in without and "kNN" not in without


def test_the_information_in_outputs_is_drawn_where_a_method_has_it(tmp_path: Path):
    header = "step,epoch,loss,learning_rate,teacher_entropy,teacher_information"
    path = tmp_path / "metrics.csv"
    path.write_text(f"{header}\n" + "".join(f"{row},1,5.5,0.1,3.5,0.{row}\n" for row in range(1, 9)))
    svg = draw(tmp_path, path, "a")[1].decode()
    assert "teacher," in svg and "information" in svg and "entropy" in svg


def test_a_diverged_run_a_run_of_one_step_and_one_without_finite_loss_can_be_drawn(tmp_path: Path):
    for name, losses in (("diverged", [6.0, 5.0, "nan", "inf"]), ("one", [6.0]), ("nan", ["nan"])):
        path = write_metrics(tmp_path / f"{name}.csv", losses)
        assert draw(tmp_path, path, name)[0].startswith(b"\x89PNG")


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


def test_a_monitor_of_another_kind_is_refused(tmp_path: Path):
    (tmp_path / "monitor.csv").write_text("step,knn\n")
    with pytest.raises(UserError, match="has no column chance, rank_me, feature_std"):
        read_looks(tmp_path / "monitor.csv")


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
