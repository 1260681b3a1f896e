"""Two processes (gloo, on the CPU), and micro-batches, against one process that takes the whole batch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from scripts.lib.errors import UserError
from scripts.pretrain.machine import Place, place_of
from scripts.pretrain.train import load_run
from tests.conftest import ROOT
from tests.pretrain import made, made_multicrop
from tests.pretrain.made import flags, make_shards
from tests.pretrain.test_train import Shards

IMAGES = 13  # one step an epoch
TOLERANCE = 1e-9  # of a tensor's length, in 64 bits


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    return make_shards(tmp_path_factory.mktemp("shards"), IMAGES)


def recipe(method: str, **changes: Any) -> str:
    maker = made if method in made.RUNS else made_multicrop
    encoder = "vit_tiny_test" if method == "dino" else "resnet_tiny_test"
    return maker.recipe(method, **{"epochs": 3, "encoder": encoder, **changes})


def trained(shards: Shards, out: Path, runs: list[tuple[str, int]]) -> list[dict[str, Any]]:
    """The whole state of each run, (recipe, processes), after its last step."""
    orders = [
        {"flags": flags(shards, out / str(number), text, threads=devices), "devices": devices}
        for number, (text, devices) in enumerate(runs)
    ]
    command = [sys.executable, "-m", "tests.pretrain.processes", json.dumps(orders)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("wrote ") == len(runs)  # one process of each writes
    return [torch.load(out / str(number) / "last.ckpt", weights_only=True)["state"] for number in range(len(runs))]


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    apart = difference(one, other)
    assert max(apart.values()) < TOLERANCE, sorted(apart.items(), key=lambda item: -item[1])[:5]
    losses = [[float(row[2]) for row in state["records"]["metrics"]["rows"]] for state in (one, other)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def difference(first: dict[str, Any], second: dict[str, Any]) -> dict[str, float]:
    """By name of each tensor of numbers of the method: |a - b| / |a|."""
    assert first["step"] == second["step"] == 3 and first["module"].keys() == second["module"].keys()
    result = {}
    for name, one in first["module"].items():
        two = second["module"][name]
        if one.is_floating_point():
            result[name] = float((one - two).norm() / (one.norm() + 1e-12))
        else:
            assert torch.equal(one, two), name
    return result


# bn_splits 2 and cluster_splits 2 put one group into each process; 1 shares them between both.
CASES: list[tuple[str, dict[str, Any]]] = [
    ("moco_v2", {}),
    ("moco_v2", {"bn_splits": 1}),
    ("moco_v2_cld", {"cluster_splits": 1}),
    ("simclr", {}),
    ("swav", {"queue_size": 8, "queue_from_epoch": 0}),
    ("dino", {"drop_path": 0.0}),
]


def test_two_processes_are_one(shards: Shards, tmp_path: Path) -> None:
    texts = [recipe(method, **changes) for method, changes in CASES]
    states = trained(shards, tmp_path, [(text, devices) for text in texts for devices in (1, 2)])
    for one, two in zip(states[::2], states[1::2], strict=True):
        assert_same(one, two)


# Encoders without BatchNorm, whose micro-batches see nothing of each other.
PARTED: list[tuple[str, dict[str, Any], int]] = [
    ("moco_v2", {"encoder": "vit_tiny_test", "bn_splits": 1}, 1),
    ("moco_v2_cld", {"encoder": "vit_tiny_test", "bn_splits": 1, "cluster_splits": 4}, 2),
    ("dino", {"drop_path": 0.0}, 1),
]


def test_micro_batches_are_one_batch(shards: Shards, tmp_path: Path) -> None:
    runs = []
    for method, changes, devices in PARTED:
        runs += [(recipe(method, **changes), 1), (recipe(method, accumulation_steps=2, **changes), devices)]
    states = trained(shards, tmp_path, runs)
    for one, parts in zip(states[::2], states[1::2], strict=True):
        assert_same(one, parts)


def test_one_command_launches_the_others(shards: Shards, tmp_path: Path) -> None:
    """As a rule does it on one node: the first process starts the second."""
    command = [sys.executable, "-m", "scripts.pretrain.train", *flags(shards, tmp_path, recipe("dino"), threads=2)]
    command += ["--devices", "2", "--accelerator", "cpu", "--log", str(tmp_path / "log")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    log = (tmp_path / "log").read_text()
    assert done.stderr.count("wrote ") == log.count("wrote ") == 1 and "2 x CPU, 1 threads" in log


def refusal(text: str, **machine: Any) -> str:
    run = load_run(text)[0]
    options = {"threads": 1, "devices": 1, "nodes": 1, "accelerator": "cpu", **machine}
    with pytest.raises(UserError) as caught:
        place_of(run, Path(), "", **options)
    return str(caught.value)


def test_a_temporary_folder_whose_sockets_would_have_too_long_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/" + "x" * 75)
    assert "Set TMPDIR to a shorter path" in refusal(recipe("simclr"), threads=2)
    monkeypatch.setattr("tempfile.tempdir", "/" + "x" * 73)
    assert place_of(load_run(recipe("simclr"))[0], Path(), "", threads=2, devices=1, nodes=1, accelerator="cpu").workers


def test_what_does_not_fit() -> None:
    assert "cannot share micro-batches of 8 images between 3 devices:" in refusal(recipe("simclr"), devices=3)
    assert "groups of 4 images must stay together" in refusal(recipe("moco_v2"), devices=4)
    assert "needs a GPU" in refusal(recipe("moco_v2", precision="fp16"))


def test_where_processes_come_from() -> None:
    node = Place(Path(), "", threads=8, devices=4, nodes=1)
    assert type(node.environment({})).__name__ == "LightningEnvironment"
    # An ordinary job of one task: SLURM's numbers are not the run's.
    slurm = {"SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
    assert type(node.environment(slurm)).__name__ == "LightningEnvironment"
    assert type(node.environment({**slurm, "SLURM_NTASKS": "4"})).__name__ == "SLURMEnvironment"
    assert type(node.environment({"TORCHELASTIC_RUN_ID": "1"})).__name__ == "TorchElasticEnvironment"
    assert (node.process_threads, node.workers, node.world) == (2, 1, 4)
    with pytest.raises(UserError, match=r"must be started as 8 tasks by srun \(--nodes=2 --ntasks-per-node=4\)"):
        Place(Path(), "", threads=8, devices=4, nodes=2).environment({})
