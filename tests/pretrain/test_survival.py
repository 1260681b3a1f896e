"""Killed, asked to stop, or short of disk: the same bits as a run that nothing disturbed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from scripts.lib.draws import generator
from scripts.lib.errors import UserError
from scripts.pretrain.train import main
from tests.pretrain import made, made_multicrop
from tests.pretrain.lives import run_lives
from tests.pretrain.made import flags, make_shards
from tests.pretrain.test_train import RESULTS, Shards, results

METHODS = sorted([*made.RUNS, *made_multicrop.RUNS])
IMAGES = 26  # three batches of 8, three epochs: nine steps; checkpoints after 2, 3, 4, 6, 8 and 9
STEPS, SAVES = 9, 6
Undisturbed = Callable[[str], dict[str, bytes]]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    return make_shards(tmp_path_factory.mktemp("shards"), IMAGES)


def recipe(method: str) -> str:
    maker = made if method in made.RUNS else made_multicrop
    return maker.recipe(method, encoder="vit_tiny_test" if method == "dino" else "resnet_tiny_test")


@pytest.fixture(scope="module")
def undisturbed(shards: Shards, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """By method, the results of a run that nothing disturbed."""

    @cache
    def train(method: str) -> dict[str, bytes]:
        out = tmp_path_factory.mktemp(method)
        run_lives([{"flags": flags(shards, out, recipe(method))}])
        return results(out)

    return train


def kills(method: str) -> list[dict[str, Any]]:
    """The first step, the last, an epoch's end, any step; while a checkpoint is written, between its renames."""
    anywhere = int(generator(0, "kill", method).integers(1, STEPS - 1))
    while_saving = int(generator(0, "kill saving", method).integers(1, SAVES))
    steps: list[dict[str, Any]] = [{"die_at": step} for step in (0, STEPS - 1, 3, anywhere)]
    return [*steps, {"die_saving": [while_saving, "half"]}, {"die_saving": [2, "renamed"]}]


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_killed_at_six_places_with_and_without_workers(
    shards: Shards, undisturbed: Undisturbed, method: str, tmp_path: Path
) -> None:
    """Sixty of sixty, over the methods: weights, averages, queues, centres and optimiser, by their digests too."""
    lives: list[dict[str, Any]] = []
    places = [(kill, workers) for kill in kills(method) for workers in (0, 2)]
    for number, (kill, workers) in enumerate(places):
        command = flags(shards, tmp_path / str(number), recipe(method))
        lives += [{"flags": command, "workers": workers, **kill}, {"flags": command, "workers": workers}]
    run_lives(lives)
    assert len(places) == 12
    for number, place in enumerate(places):
        assert results(tmp_path / str(number)) == undisturbed(method), place


def test_killed_while_it_saves(shards: Shards, undisturbed: Undisturbed, tmp_path: Path) -> None:
    """With the checkpoint after step 4 half written, between its two renames, and after them."""
    command = flags(shards, tmp_path / "killed", recipe("moco_v2"))
    lives = [{"flags": command, "die_saving": saving} for saving in ([3, "half"], [1, "renamed"], [1, "whole"])]
    log = run_lives([*lives, {"flags": command}])
    assert [line.split()[-4] for line in log.splitlines() if "continues after step" in line] == ["3", "3", "4"]
    assert results(tmp_path / "killed") == undisturbed("moco_v2")
    left = {path.name for path in (tmp_path / "killed").iterdir()}
    assert left == {*RESULTS, "cost.json"}  # no half checkpoint, no lock


def test_asked_to_stop_it_saves_and_continues(shards: Shards, undisturbed: Undisturbed, tmp_path: Path) -> None:
    command = flags(shards, tmp_path / "stopped", recipe("dino"))
    # The second time before its first images are there, the third because its time is up.
    stops: list[dict[str, Any]] = [{"signal_at": 4}, {"signal_loading": True, "workers": 1}, {"end_in": 10}, {}]
    log = run_lives([{"flags": command, **stop} for stop in stops])
    for step, why in ((5, "it got SIGTERM"), (6, "it got SIGTERM"), (7, "the time of its job ends")):
        assert f"run tiny was stopped after step {step} of 9 because {why}; run the same command again" in log
        assert f"continues after step {step} of 9" in log
    assert results(tmp_path / "stopped") == undisturbed("dino")


def test_a_full_disk_costs_a_checkpoint_and_not_the_run(
    shards: Shards, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    command = flags(shards, tmp_path / "full", recipe("swav"))
    lives = [
        {"flags": command, "full_at": [2, 3], "die_at": 5},  # those after steps 3 and 4
        {"flags": command, "full_at": [1]},
    ]
    log = run_lives(lives)
    assert log.count("no checkpoint after step") == 3 and "and the run goes on: " in log
    assert "continues after step 2 of 9" in log
    assert results(tmp_path / "full") == undisturbed("swav")


@pytest.mark.parametrize(
    ("method", "ways"),
    [
        ("dino", [(1, 4), (2, 1)]),
        *(pytest.param(each, [(1, 1), (1, 4), (2, 1), (2, 4)], marks=pytest.mark.slow) for each in METHODS),
    ],
)
def test_workers_and_prefetch_change_nothing(
    shards: Shards, undisturbed: Undisturbed, method: str, ways: list[tuple[int, int]], tmp_path: Path
) -> None:
    run_lives(
        [
            {"flags": flags(shards, tmp_path / str(way), recipe(method)), "workers": way[0], "prefetch": way[1]}
            for way in ways
        ]
    )
    for way in ways:
        assert results(tmp_path / str(way)) == undisturbed(method), way  # which has no loader processes


def test_a_second_trainer_is_refused(shards: Shards, tmp_path: Path) -> None:
    holder = tmp_path / ".lock"
    code = (
        "import fcntl, sys, time; handle = open(sys.argv[1], 'ab'); fcntl.lockf(handle, fcntl.LOCK_EX); "
        "print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(holder)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with pytest.raises(
            UserError, match=r"another process is training run tiny \(it holds .*\.lock\)\. Wait for it"
        ):
            main(flags(shards, tmp_path, recipe("moco_v2")))
        other.kill()
    main(flags(shards, tmp_path, recipe("moco_v2")))  # the lock died with its holder
    assert not holder.exists()
