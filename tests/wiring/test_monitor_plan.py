"""What the rules ask of `pretrain.monitor`."""

from __future__ import annotations

import json

import pytest

from scripts.lib.errors import UserError
from scripts.lib.fingerprint import code_files
from tests.wiring.test_plan import plan


def test_a_run_is_watched_on_the_train_images_of_a_task() -> None:
    demo = plan("demo")
    assert demo.monitor_sample == ["results/evaluate/sample_task/fractals.safetensors"]
    monitor, sample = json.loads(demo.monitor_recipe()), json.loads(demo.sample_task_recipe("fractals"))
    assert monitor["task"] == sample["task"]["name"] == "fractals"
    assert monitor["images"] == sample["images"] and monitor["classes"] is sample["classes"] is None


def test_without_a_task_no_labelled_image_is_asked_for() -> None:
    paper = plan()
    assert paper.monitor_sample == [] and json.loads(paper.monitor_recipe())["task"] is None


def test_a_run_may_go_unwatched() -> None:
    alone = plan("demo", pretrain__monitor=None)
    assert alone.monitor_sample == [] and alone.monitor_recipe() == ""
    with pytest.raises(UserError, match=r"pretrain\.monitor is null"):
        alone.sample_task_recipe("fractals")


def test_a_task_that_is_not_there() -> None:
    with pytest.raises(UserError, match=r"pretrain\.monitor\.task: evaluate\.tasks has no task nothing"):
        plan("demo", pretrain__monitor__task="nothing")


def test_classes_without_neighbours() -> None:
    with pytest.raises(UserError, match=r"images 200 of 101 classes: each needs two"):
        plan("demo", pretrain__monitor__classes=101)


def test_what_only_a_person_sees_trains_nothing_again() -> None:
    covered = {path.name for path in code_files("scripts.pretrain.train", "scripts.pretrain.methods.dino")}
    assert {"monitor.py", "view_sheet.py", "metrics.py"} <= covered
    assert not {"watch.py", "progress.py", "speed.py", "diagnosis.py", "advice.py"} & covered
