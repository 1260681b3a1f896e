"""Training on images from outside: what is planned, what runs, and what a moved set repeats (nothing)."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.lib.encoders import load_encoder
from tests.conftest import ROOT
from tests.pretrain.made import RUN, drawing
from tests.pretrain.made_images import folder_of, tar_of
from tests.workflow import planned_jobs, run_snakemake, write_scale

pytestmark = pytest.mark.whole

TARS = ["PASS.0.tar", "PASS.1.tar"]


def scale_of(folder: Path, published: Path, photos: Path) -> Path:
    """The demo, with two runs on other images and one on the shards."""
    demo = yaml.safe_load((ROOT / "scales/demo.yaml").read_text())
    small = {**RUN, "epochs": 1, "batch_size": 4, "checkpoint_every_steps": 1, "bn_splits": 1}
    small["augmentation"] = {**RUN["augmentation"], "image_size": 16}
    sets: list[dict[str, Any]] = [
        {"name": "published", "kind": "tars", "path": str(published), "files": TARS},
        {"name": "photos", "kind": "folder", "path": str(photos)},
    ]
    runs = [{**small, "name": name, "images": name} for name in ("published", "photos", "shards")]
    return write_scale(folder / "scale.yaml", {**demo, "pretrain": {"image_sets": sets, "runs": runs}})


def encoder(run: str) -> str:
    return f"results/pretrain/train/{run}/encoder.safetensors"


def test_a_run_on_an_image_set_plans_without_curation(tmp_path: Path) -> None:
    scale = scale_of(tmp_path, tmp_path / "nowhere", tmp_path / "nowhere")  # nothing needs to lie there for a plan
    plan = ("-n", "--configfile", str(scale))
    result = run_snakemake(encoder("published"), *plan, folder=tmp_path, without_torch=True)
    assert planned_jobs(result.stdout) == {"index_images": 1, "train": 1}, result.stdout + result.stderr
    result = run_snakemake(encoder("published"), encoder("photos"), *plan, folder=tmp_path)
    assert planned_jobs(result.stdout) == {"index_images": 2, "train": 2}
    result = run_snakemake(encoder("shards"), *plan, folder=tmp_path)
    jobs = planned_jobs(result.stdout)
    assert jobs["write_shards"] == 2 and jobs["train"] == 1 and "index_images" not in jobs
    missing = run_snakemake(encoder("published"), "--cores", "1", "--configfile", str(scale), folder=tmp_path)
    text = " ".join((missing.stdout + missing.stderr).split())
    assert missing.returncode != 0 and "Traceback" not in text
    assert re.search(r"ERROR: the images of the set published are missing: there is no folder .*nowhere \(key", text)


def test_runs_on_tars_and_on_a_folder(tmp_path: Path) -> None:
    published, photos = tmp_path / "pass", tmp_path / "photos"
    for number, name in enumerate(TARS):  # as the release, whose names in two tars are the same here
        tar_of(published / name, {f"PASS_dataset/{n}/{n}.jpg": drawing(10 * number + n) for n in range(4)})
    folder_of(
        photos, {f"class/{n}.jpg": drawing(n) for n in range(5)} | {"class/broken.jpg": b"\xff\xd8\xff", "x": b""}
    )
    arguments = ("--cores", "2", "--configfile", str(scale_of(tmp_path, published, photos)))
    targets = [encoder("published"), encoder("photos")]
    result = run_snakemake(*targets, *arguments, folder=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    for run, images in (("published", 8), ("photos", 5)):
        _, description = load_encoder(tmp_path / encoder(run))
        assert (description["images"], description["images_of"]) == (images, run)
        metrics = (tmp_path / f"results/pretrain/train/{run}/metrics.csv").read_text().splitlines()
        assert len(metrics) == 1 + images // 4
    log = (tmp_path / "logs/pretrain/index_images/photos.log").read_text()
    assert "read 7, usable 5, not usable {'undecodable': 1, 'unsupported_format': 1}" in log
    assert not (tmp_path / "results/curate").exists()

    # A set that lies elsewhere now, tars and folder, is trained on no second time.
    (tmp_path / "moved").mkdir()
    for place in (published, photos):
        shutil.move(place, tmp_path / "moved")
    scale_of(tmp_path, tmp_path / "moved/pass", tmp_path / "moved/photos")
    result = run_snakemake(*targets, "-n", *arguments, folder=tmp_path)
    assert "train" not in planned_jobs(result.stdout), result.stdout

    # Another tar is seen when the set is indexed anew, and trained on.
    tar_of(tmp_path / "moved/pass" / TARS[1], {f"PASS_dataset/0/{n}.jpg": drawing(n) for n in range(20, 29)})
    index = "results/pretrain/index_images/published.parquet"
    result = run_snakemake(*targets, *arguments, "--forcerun", index, folder=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert planned_jobs(result.stdout + result.stderr) == {"index_images": 1, "train": 1}
    assert load_encoder(tmp_path / encoder("published"))[1]["images"] == 13


def test_the_published_tars(tmp_path: Path, shared: Path) -> None:
    scale = scale_of(tmp_path, shared / "pass_release", tmp_path)
    arguments = (encoder("published"), "--cores", "2", "--configfile", str(scale))
    result = run_snakemake(*arguments, folder=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert load_encoder(tmp_path / encoder("published"))[1]["images"] == 8
