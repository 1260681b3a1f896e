"""A run that dies at any moment is continued by the same command, and comes to the same seal."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lib.small_disk import small_disk
from tests.small_run import SmallRun
from tests.workflow import write_scale

pytestmark = pytest.mark.whole
PARTS = [
    "results/report/draw_curves/tiny.svg",
    "results/filter/list_review_pages.html",
    "results/shard/write_card.md",
]


def unmade(base: Path, checkout: Path) -> SmallRun:
    """Return a small run of which nothing is made, on the checkout of another."""
    place = SmallRun(base)
    base.mkdir(parents=True, exist_ok=True)
    place.root = checkout
    place.folder.mkdir()
    return place


def copied(place: SmallRun, base: Path) -> SmallRun:
    """Return a run in the same state in the folder `base`."""
    other = SmallRun(base)
    base.mkdir()
    other.root = place.root
    subprocess.run(["cp", "-a", str(place.folder), str(base)], check=True)
    return other


def descendants(pid: int) -> list[int]:
    """Return a process and all that came of it."""
    found = [pid]
    for each in found:
        for task in Path(f"/proc/{each}/task").glob("*/children"):
            found += [int(child) for child in task.read_text().split()]
    return found


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """kill -9 of the whole tree, as a power cut: stopped first, so that none sees the end of another."""
    for how in (signal.SIGSTOP, signal.SIGKILL):
        for pid in descendants(process.pid):
            try:
                os.kill(pid, how)
            except ProcessLookupError:
                continue
    process.wait()


def killed(place: SmallRun, jobs: int, seconds: float) -> bool:
    """Start the run and kill it `seconds` after it has finished so many jobs; return whether it was still going."""
    scale, log = write_scale(place.base / "scale.yaml", place.scale), place.base / "killed.log"
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(place.root / "Snakefile"), "--cores", "2"]
    command += ["--directory", str(place.folder), "--configfile", str(scale)]
    with log.open("wb") as said:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(command, stdout=said, stderr=said, env=environment)
        while log.read_bytes().count(b"Finished jobid") < jobs and process.poll() is None:
            time.sleep(0.05)
        time.sleep(seconds)
        going = process.poll() is None
        kill_tree(process)
    return going


def test_a_killed_run_continues_by_the_same_command(small_run: SmallRun, tmp_path: Path) -> None:
    """With one core, in other parts and another environment than the run whose seal it has to come to."""
    place, draw = unmade(tmp_path, small_run.root), random.Random(4)
    assert killed(place, 9, draw.uniform(0, 1))
    assert list((place.folder / ".snakemake/locks").iterdir())  # Snakemake would refuse this folder
    other = {"TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "7", "LC_ALL": "C"}
    assert "died: its lock is removed" in place.run("--cores", "1", "--", PARTS[0], **other)
    place.run("--cores", "1", **other)
    assert place.seal() == small_run.seal()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_any_order_of_its_parts_comes_to_the_same_seal(seed: int, small_run: SmallRun, tmp_path: Path) -> None:
    place, draw = unmade(tmp_path, small_run.root), random.Random(seed)
    for part in draw.sample(PARTS, 2):
        place.run("--cores", str(draw.choice([1, 2])), "--", part)
    place.run()
    assert place.seal() == small_run.seal()


@pytest.mark.slow
def test_forty_kills_at_any_moment(small_run: SmallRun, tmp_path: Path) -> None:
    draw, deaths, life = random.Random(40), 0, 0
    while deaths < 40:
        place = unmade(tmp_path / f"life{life}", small_run.root)
        life += 1
        while deaths < 40 and killed(place, draw.randrange(8), draw.uniform(0, 3)):
            deaths += 1
            heir = copied(place, tmp_path / f"heir{deaths}")
            heir.run()
            assert heir.seal() == small_run.seal(), f"death {deaths}"
            print(f"death {deaths}: same seal", flush=True)
            heir.remove()
        place.run()
        assert place.seal() == small_run.seal()
        place.remove()


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9])
def test_a_full_disk_and_then_more_room(share: float, small_run: SmallRun, tmp_path: Path) -> None:
    counted = ["du", "--summarize", "--block-size=1", "--exclude=.snakemake", str(small_run.folder)]
    size = int(subprocess.run(counted, check=True, capture_output=True, text=True).stdout.split()[0])
    with small_disk(int(share * size)) as disk:
        place = unmade(tmp_path, small_run.root)
        place.folder.rmdir()
        place.folder.symlink_to(disk.path)
        first = place.snakemake("--cores", "2")
        assert first.returncode != 0
        disk.resize(8 * size)
        place.run()
        assert place.seal() == small_run.seal()
