from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from scripts.evaluate import finetune_detector, list_annotations
from scripts.evaluate.dense import loop
from scripts.evaluate.dense.pictures import DetectorViews, read_listed
from scripts.evaluate.settings_finetuned import DetectorRecipe
from scripts.lib.errors import UserError
from tests.conftest import ROOT
from tests.evaluate.made_dense import TINY, coco_task, made_set, read_rows, save_resnet18, write_json

METRICS = ("ap", "ap50", "ap75", "ap_s")


class Bench:
    """A set, an encoder, and runs of the step on them."""

    def __init__(self, folder: Path, task: dict[str, Any], *paths: Path) -> None:
        self.folder, self.task, self.paths = folder, task, [str(path) for path in paths]
        save_resnet18(folder / "encoder.safetensors")
        self.listed = [str(folder / name) for name in ("p.parquet", "p.json", "p.csv")]
        flags = [each for pair in zip(("--out", "--facts", "--left-out"), self.listed, strict=True) for each in pair]
        list_annotations.main(["--recipe", json.dumps({"task": task}), "--paths", *self.paths, *flags])

    def arguments(self, recipe: DetectorRecipe, name: str, devices: int = 1) -> list[str]:
        text = json.dumps({"task": self.task, "recipe": recipe.model_dump(mode="json"), "seed": 3})
        return [
            "--recipe", text, "--run", "r", "--encoder", str(self.folder / "encoder.safetensors"),
            "--pictures", self.listed[0], "--facts", self.listed[1], "--paths", *self.paths, "--devices", str(devices),
            "--threads", str(devices), "--out", str(self.folder / f"{name}.csv"),
            "--losses", str(self.folder / f"{name}.losses.csv"),
        ]  # fmt: skip

    def run(self, recipe: DetectorRecipe, name: str = "first") -> list[dict[str, str]]:
        finetune_detector.main(self.arguments(recipe, name))
        return read_rows(self.folder / f"{name}.csv")


@pytest.fixture
def made(tmp_path: Path) -> Bench:
    train = write_json(tmp_path / "a.json", made_set(tmp_path))
    test = write_json(tmp_path / "b.json", made_set(tmp_path / "t", pictures=2, seed=1))
    return Bench(tmp_path, coco_task(test_images=""), train, tmp_path / "images", test, tmp_path / "t" / "images")


def recipe(head: str = "box", **values: Any) -> DetectorRecipe:
    return TINY.model_copy(update={"head": head, **values})


def test_rows_say_everything_that_repeats_them(made: Bench):
    rows = made.run(recipe(metric="voc", precise_norm_steps=2))
    assert {row["metric"] for row in rows} == {*(f"box_{name}" for name in METRICS), "box_ap50_11_point"}
    for row in rows:
        assert (row["run"], row["task"], row["protocol"], row["seed"]) == ("r", "t", "tiny", "3")
        assert (row["n"], float(row["chance"]), row["selected_on"]) == ("2", 0.0, "")
        settings = json.loads(row["settings"])
        assert settings["train_images"] == 6 and settings["schedule"]["steps"] == 4 and "devices" not in settings
        assert set(json.loads(row["inputs"])) == {"encoder_sha256", "pictures_sha256"}
    losses = read_rows(made.folder / "first.losses.csv")
    assert [float(row["learning_rate"]) for row in losses] == pytest.approx([0.001, 0.0055, 0.01, 0.001])
    assert not (made.folder / "first.csv.state").exists()


@pytest.mark.parametrize("head", ["mask", "keypoint"])
def test_masks_and_keypoints_have_figures_of_their_own(made: Bench, head: str):
    metrics = {row["metric"] for row in made.run(recipe(head))}
    small = {f"{what}_ap_s" for what in ("box", head)}  # the blocks are small, and COCO has no small keypoints
    assert metrics - small == {f"{what}_{name}" for what in ("box", head) for name in METRICS if name != "ap_s"}


def test_a_killed_fit_continues_to_the_same_bits(made: Bench, monkeypatch: pytest.MonkeyPatch):
    made.run(recipe("mask"))
    step_rate = loop.step_rate

    def killed(schedule: Any, step: int) -> float:
        if step == 3:  # a checkpoint is written after two steps
            raise KeyboardInterrupt
        return step_rate(schedule, step)

    monkeypatch.setattr(loop, "step_rate", killed)
    with pytest.raises(KeyboardInterrupt):
        made.run(recipe("mask"), "second")
    assert (made.folder / "second.csv.state" / "last.ckpt").exists()
    monkeypatch.setattr(loop, "step_rate", step_rate)
    made.run(recipe("mask"), "second")
    for suffix in (".csv", ".losses.csv"):
        assert (made.folder / f"first{suffix}").read_bytes() == (made.folder / f"second{suffix}").read_bytes()


def test_pictures_of_a_step_depend_on_nothing_but_seed_and_step(made: Bench):
    pictures = [each for each in read_listed(made.listed[0]) if each.split == "train"]
    views = DetectorViews(pictures, {"train": made.folder / "images"}, recipe("mask"), 3)
    plan = loop.plan_of(recipe("mask"), 3, len(pictures))

    def batches(threads: int, start: int, rank: int = 0, world: int = 1) -> list[list[Any]]:
        place = loop.Place(made.folder, "", threads, torch.device("cpu"), rank, world)
        return list(loop.prepared(plan, place, views.train, start))

    def same(one: Any, other: Any) -> bool:
        return torch.equal(one[0], other[0]) and all(torch.equal(one[1][name], other[1][name]) for name in one[1])

    whole = batches(1, 0)
    assert [len(batch) for batch in whole] == [2, 2, 2, 2]
    for step, batch in enumerate(batches(3, 1)):
        assert all(map(same, whole[step + 1], batch))
    halves = zip(batches(1, 0, 0, 2), batches(1, 0, 1, 2), strict=True)
    for batch, (first, second) in zip(whole, halves, strict=True):
        assert all(map(same, batch, [*first, *second]))
    assert not same(whole[0][0], whole[3][0]) or plan.batch_of(0)[0] != plan.batch_of(3)[0]


@pytest.mark.slow
def test_two_processes_share_a_batch(made: Bench):
    shared = recipe(norm="per_process", fpn_norm=False, train_short_sides=(64,))
    command = [sys.executable, "-m", "scripts.evaluate.finetune_detector", *made.arguments(shared, "both", devices=2)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    rows = read_rows(made.folder / "both.csv")
    assert json.loads(rows[0]["settings"])["processes"] == 2
    assert len(read_rows(made.folder / "both.losses.csv")) == 4


def test_what_cannot_be_trained_is_one_paragraph(made: Bench, tmp_path: Path):
    hot = recipe(schedule=TINY.schedule.model_copy(update={"learning_rate": 1e30, "warm_up_steps": 0}))
    with pytest.raises(UserError, match="so the fit diverged: lower the learning rate"):
        made.run(hot)
    shutil.rmtree(tmp_path / "first.csv.state", ignore_errors=True)
    facts = json.loads((tmp_path / "p.json").read_text())
    (tmp_path / "p.json").write_text(json.dumps({**facts, "keypoints": ["top", "end"]}))
    with pytest.raises(UserError, match="has 2 keypoints; average precision is defined for COCO's 17"):
        made.run(recipe("keypoint"))
    (tmp_path / "p.json").write_text(json.dumps(facts))
    (tmp_path / "images" / "0.png").write_bytes(b"changed")
    with pytest.raises(UserError, match=r"the train picture 0\.png cannot be read"):
        made.run(recipe())


# What over-fits four pictures of the sample in about two CPU-minutes: one to three large things each.
OVERFIT = {
    "schedule": TINY.schedule.model_copy(
        update={"steps": 150, "learning_rate": 0.02, "warm_up_steps": 20, "warm_up_factor": 0.01, "milestones": (120,)}
    ),
    "checkpoint_every_steps": 1000, "fpn_channels": 64, "train_short_sides": (256,), "test_short_side": 256,
    "max_side": 448, "flip_probability": 0.0, "anchor_sizes": (16, 32, 64, 128, 256), "proposals_train": 200,
    "proposals_test": 100, "rois_per_image": 64, "box_width": 256, "mask_layers": (64, 64),
    "keypoint_layers": (128, 128, 128), "precise_norm_steps": 8,
}  # fmt: skip


def four_pictures(folder: Path, shared: Path, head: str) -> Bench:
    """Return a bench whose train and test pictures are the same four, copied so that they count as two sets."""
    name = "person_keypoints" if head == "keypoint" else "instances"
    content = json.loads((shared / f"coco/{name}_train2017.json").read_text())
    own: dict[int, list[dict[str, Any]]] = {}
    for each in content["annotations"]:
        own.setdefault(each["image_id"], []).append(each)

    def easy(image: dict[str, Any]) -> bool:
        things = own.get(image["id"], [])
        return 1 <= len(things) <= 3 and all(
            not each["iscrowd"] and each["area"] > 64**2 and each.get("num_keypoints", 17) >= 8 for each in things
        )

    images = [image for image in content["images"] if easy(image)][:4]
    things = [each for image in images for each in own[image["id"]]]
    used = {each["category_id"] for each in things}
    categories = [each for each in content["categories"] if each["id"] in used]
    split = {"images": images, "annotations": things, "categories": categories}
    files = [write_json(folder / f"{each}.json", split) for each in ("train", "test")]
    for copy in ("i", "j"):
        (folder / copy).mkdir()
        for image in images:
            shutil.copy(shared / f"photos/coco_{image['file_name']}", folder / copy / image["file_name"])
    return Bench(folder, coco_task(test_images=""), files[0], folder / "i", files[1], folder / "j")


@pytest.mark.parametrize(
    "head", ["box", *(pytest.param(each, marks=pytest.mark.slow) for each in ("mask", "keypoint"))]
)
def test_a_few_steps_on_the_sample_of_coco(tmp_path: Path, shared: Path, head: str):
    quick = {"train_short_sides": (96,), "test_short_side": 96, "max_side": 160, "rois_per_image": 16}
    schedule = TINY.schedule.model_copy(update={"steps": 8, "milestones": (7,), "learning_rate": 0.01})
    rows = four_pictures(tmp_path, shared, head).run(recipe(head, **{**OVERFIT, **quick, "schedule": schedule}))
    assert {f"{head}_ap", "box_ap50"} <= {row["metric"] for row in rows}
    losses = [float(row["loss"]) for row in read_rows(tmp_path / "first.losses.csv")]
    assert sum(losses[-3:]) < sum(losses[:3])


@pytest.mark.slow
@pytest.mark.parametrize("head", ["box", "mask", "keypoint"])
def test_four_pictures_are_over_fitted(tmp_path: Path, shared: Path, head: str):
    rows = four_pictures(tmp_path, shared, head).run(recipe(head, **OVERFIT))
    values = {row["metric"]: float(row["value"]) for row in rows}
    assert values[f"{head}_ap"] >= 50, values
    losses = [float(row["loss"]) for row in read_rows(tmp_path / "first.losses.csv")]
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])
