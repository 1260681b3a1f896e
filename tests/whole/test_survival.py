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
JOBS = 44  # of the small run, without `all`


def unmade(base: Path, checkout: Path) -> SmallRun:
    """Return a small run of which nothing is made, on the checkout of another."""
    place = SmallRun(base)
    base.mkdir(parents=True, exist_ok=True)
    place.root = checkout
    place.folder.mkdir()
    return place


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
    place, draw = unmade(tmp_path, small_run.root), random.Random(4)
    assert killed(place, 9, draw.uniform(0, 1))
    assert list((place.folder / ".snakemake/locks").iterdir())  # Snakemake would refuse this folder
    assert "died: its lock is removed" in place.run()
    assert place.seal() == small_run.seal()


def test_one_core_another_order_and_a_run_in_parts_come_to_the_same_seal(small_run: SmallRun, tmp_path: Path) -> None:
    place, draw = unmade(tmp_path, small_run.root), random.Random(8)
    parts = [
        "results/report/draw_curves/tiny.svg",
        "results/filter/list_review_pages.html",
        "results/shard/write_card.md",
    ]
    for part in draw.sample(parts, 2):
        place.run("--cores", "1", "--", part)
    place.run("--cores", "1", TZ="Asia/Kathmandu", PYTHONHASHSEED="7", LC_ALL="C")
    assert place.seal() == small_run.seal()


@pytest.mark.slow
def test_forty_kills_at_any_moment(small_run: SmallRun, tmp_path: Path) -> None:
    draw, deaths, life = random.Random(40), 0, 0
    while deaths < 40:
        place = unmade(tmp_path / f"life{life}", small_run.root)
        life += 1
        while deaths < 40 and killed(place, draw.randrange(8), draw.uniform(0, 3)):
            deaths += 1
            heir = place.copied(tmp_path / f"heir{deaths}") if place.root == place.base / "checkout" else None
            heir = heir or _copy(place, tmp_path / f"heir{deaths}")
            heir.run()
            assert heir.seal() == small_run.seal(), f"death {deaths}"
            print(f"death {deaths}: same seal", flush=True)
            heir.remove()
        place.run()
        assert place.seal() == small_run.seal()
        place.remove()


def _copy(place: SmallRun, base: Path) -> SmallRun:
    other = SmallRun(base)
    base.mkdir()
    other.root = place.root
    subprocess.run(["cp", "-a", str(place.folder), str(base)], check=True)
    return other


@pytest.mark.parametrize(
    "share", [0.4, *(pytest.param(0.1 * n, marks=pytest.mark.slow) for n in (1, 2, 3, 5, 6, 7, 8, 9, 9.7))]
)
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
