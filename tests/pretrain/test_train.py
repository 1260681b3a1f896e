from __future__ import annotations

import json
import logging
import math
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import load_file

from scripts.lib.checkpoints import save_checkpoint
from scripts.lib.encoders import load_encoder
from scripts.pretrain.shard_images import list_images
from scripts.pretrain.train import load_run, main, run_key
from tests.conftest import ROOT
from tests.pretrain.lives import run_lives
from tests.pretrain.made import RUNS, flags, make_shards, recipe

Shards = tuple[list[Path], list[Path]]
IMAGES = 26  # three batches of 8; two images are left over in each epoch
RESULTS = (
    "encoder.safetensors",
    "untrained.safetensors",
    "head.safetensors",
    "metrics.csv",
    "monitor.csv",
    "trace.csv",
    "views.png",
)  # equal however often killed
COST = "cost.json"  # not among them: never equal


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    return make_shards(tmp_path_factory.mktemp("shards"), IMAGES)


def run_of(method: str) -> str:
    """A real ResNet for one method; the others have a tiny one."""
    return recipe(method) if method == "moco_v2" else recipe(method, encoder="resnet_tiny_test")


def live(arguments: list[str], deaths: list[int], workers: int | None = None) -> str:
    """Train once for each of `deaths`, which are steps, then to the end; return what was logged."""
    ends: list[int | None] = [*deaths, None]
    return run_lives([{"flags": arguments, "die_at": die_at, "workers": workers} for die_at in ends])


@pytest.fixture(scope="module")
def finished(shards: Shards, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """By method, the folder of a run that nothing interrupted."""

    @cache
    def train(method: str) -> Path:
        out = tmp_path_factory.mktemp(method)
        live(flags(shards, out, run_of(method)), [])
        return out

    return train


@pytest.fixture(scope="module")
def uninterrupted(finished: Callable[[str], Path]) -> Path:
    return finished("moco_v2")


def results(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in RESULTS}


def test_what_a_run_leaves(shards: Shards, uninterrupted: Path) -> None:
    assert sorted(path.name for path in uninterrupted.iterdir()) == sorted((*RESULTS, COST))  # no checkpoint
    lines = (uninterrupted / "metrics.csv").read_text().splitlines()
    assert lines[0] == "step,epoch,loss,learning_rate,accuracy,feature_std"
    assert [line.split(",")[:2] for line in lines[1:]] == [[str(s + 1), str(s // 3 + 1)] for s in range(9)]
    _, description = load_encoder(uninterrupted / "encoder.safetensors")
    assert description == {
        "encoder": "resnet18",
        "method": "moco_v2",
        "run": "tiny",
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "image_size": 32,
        "interpolation": "bilinear",
        "epochs": 3,
        "images": IMAGES,
        "images_of": "shards",
        "images_digest": list_images(*shards).digest,
    }
    assert load_encoder(uninterrupted / "untrained.safetensors")[1]["epochs"] == 0
    model = torchvision.models.resnet18(weights=None)
    trained = load_file(uninterrupted / "encoder.safetensors")
    assert model.load_state_dict(trained, strict=False).missing_keys == ["fc.weight", "fc.bias"]
    untrained = load_file(uninterrupted / "untrained.safetensors")
    assert not torch.equal(trained["conv1.weight"], untrained["conv1.weight"])
    assert int(trained["bn1.num_batches_tracked"]) == 9 and int(untrained["bn1.num_batches_tracked"]) == 0


@pytest.mark.parametrize(
    ("method", "deaths", "workers"),
    [
        ("moco_v2", [5], 0),  # in the middle of an epoch, one step after a checkpoint
        ("moco_v2", [3], 2),  # at the end of an epoch; with loader processes
        # Before the first checkpoint, then again and again, the last time in the last step.
        pytest.param("moco_v2", [1, 4, 2, 2], 0, marks=pytest.mark.slow),
        pytest.param("moco_v2", [5, 2], 2, marks=pytest.mark.slow),
        *((method, [5], 0) for method in RUNS if method != "moco_v2"),
    ],
)
def test_killed_and_continued_is_bit_for_bit_the_uninterrupted_run(
    shards: Shards, finished: Callable[[str], Path], method: str, deaths: list[int], workers: int, tmp_path: Path
) -> None:
    log = live(flags(shards, tmp_path, run_of(method)), deaths, workers)
    assert log.count("continues after step") == sum(each > 1 for each in deaths)
    assert results(tmp_path) == results(finished(method))
    assert json.loads((tmp_path / COST).read_text())["sessions"] == 1 + log.count("continues after step")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted((*RESULTS, COST))


@pytest.mark.slow
def test_sigkill_from_outside(shards: Shards, uninterrupted: Path, tmp_path: Path) -> None:
    arguments = flags(shards, tmp_path, recipe())
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.pretrain.train", *arguments], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "last.ckpt").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    main(arguments)
    assert results(tmp_path) == results(uninterrupted)


def test_checkpoint_of_other_settings_is_not_continued_from(
    shards: Shards, uninterrupted: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Here of other code or torch: the file's key is all that tells them apart."""
    step = {
        "step": 1,
        "module": {},
        "optimizer": {},
        "scaler": {},
        "metrics": {},
        "monitor": [],
        "trace": [],
        "machine": "",
    }
    save_checkpoint(tmp_path, "f" * 64, step)
    with caplog.at_level(logging.INFO):
        main(flags(shards, tmp_path, recipe()))
    assert "belongs to other settings, code, images or torch" in caplog.text
    assert "continues after" not in caplog.text
    assert results(tmp_path) == results(uninterrupted)
    assert len(list(tmp_path.glob("last*.set-aside"))) == 1


@pytest.mark.slow
def test_checkpoint_of_another_machine_is_continued_with_a_warning(shards: Shards, tmp_path: Path) -> None:
    one, two = (
        {"flags": flags(shards, tmp_path, recipe(), threads), "die_at": die_at, "workers": 0}
        for threads, die_at in ((1, 5), (2, None))
    )
    log = run_lives([one, two])
    assert "continues after step 4 of 9" in log
    assert "began on CPU, 1 threads and continues on CPU, 2 threads" in log


def test_key_covers_recipe_and_images(shards: Shards, tmp_path: Path) -> None:
    images = list_images(*shards)
    more = list_images(*make_shards(tmp_path, IMAGES + 1))
    keys = {
        run_key(recipe(), load_run(recipe())[0], images),
        run_key(recipe(seed=1), load_run(recipe(seed=1))[0], images),
        run_key(recipe(), load_run(recipe())[0], more),
    }
    assert len(keys) == 3
    assert run_key(recipe(), load_run(recipe())[0], list_images(shards[0][::-1], shards[1][::-1])) in keys


def test_loss_falls(tmp_path: Path) -> None:
    """24 drawings, hardly changed from view to view: soon each query finds its key, and the features spread out."""
    shards = make_shards(tmp_path / "shards", 24)
    calm = {f"{name}_probability": 0.0 for name in ("jitter", "grey", "blur", "flip")}
    slow = {"learning_rate": 0.003, "temperature": 0.1, "queue_size": 8, "bn_splits": 1, "checkpoint_every_steps": 1000}
    main(flags(shards, tmp_path / "out", recipe(epochs=24, crop_scale=[0.9, 1.0], **calm, **slow)))
    rows = [line.split(",") for line in (tmp_path / "out" / "metrics.csv").read_text().splitlines()[1:]]
    loss = [float(row[2]) for row in rows]
    assert sum(loss[-5:]) / 5 < 0.6 * math.log(9)  # of the line that a queue of 8 gives: it stands still there
    assert float(rows[-1][5]) > 0.6  # no collapse


@pytest.mark.parametrize("method", sorted(RUNS))
def test_bf16_runs_on_a_cpu(shards: Shards, method: str, tmp_path: Path) -> None:
    main(flags(shards, tmp_path, recipe(method, precision="bf16", epochs=2)))
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 7


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_compiled_networks_give_the_same_losses(shards: Shards, layout: str, tmp_path: Path) -> None:
    """As far as rounding goes, in two steps; the weights keep their names."""
    losses = []
    for compiled in (False, True):
        changes = {"encoder": "resnet_tiny_test", "memory_format": layout, "compile": compiled, "epochs": 1}
        main(flags(shards, tmp_path / str(compiled), recipe(**changes)))
        rows = (tmp_path / str(compiled) / "metrics.csv").read_text().splitlines()[1:]
        losses.append([float(row.split(",")[2]) for row in rows])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    load_encoder(tmp_path / "True" / "encoder.safetensors")
