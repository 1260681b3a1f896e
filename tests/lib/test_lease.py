"""A second writer waits for the first; a dead one does not hold it up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts.lib import lease
from scripts.lib.lease import leased, process_start, this_process

HOLD = """
import sys, time
from pathlib import Path
from scripts.lib.lease import leased
with leased(Path(sys.argv[1]), "x"):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
    Path(sys.argv[3]).write_text("done")
"""


def hold(path: Path, seconds: float, done: Path) -> subprocess.Popen:
    process = subprocess.Popen([sys.executable, "-c", HOLD, path, str(seconds), done], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    return process


def test_the_second_writer_waits_for_the_end_of_the_first(tmp_path: Path) -> None:
    path, done = tmp_path / "leases/a", tmp_path / "done"
    first = hold(path, 1.5, done)
    with leased(path, "x"):
        assert done.read_text() == "done"
    assert first.wait() == 0
    assert list(path.parent.iterdir()) == []


def test_a_dead_writer_is_replaced_at_once(tmp_path: Path) -> None:
    path = tmp_path / "leases/a"
    first = hold(path, 600, tmp_path / "done")
    first.kill()
    first.wait()
    assert path.exists()
    with leased(path, "x"):
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert list(path.parent.iterdir()) == []


def test_a_used_process_number_is_not_the_holder(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text(json.dumps({**this_process(), "start": "1"}))  # this process, had it begun at boot
    with leased(path, "x"):
        pass


@pytest.mark.parametrize(("silent", "alive"), [(1.0, True), (lease.SILENCE_SECONDS + 1, False)])
def test_a_holder_on_another_machine_is_judged_by_its_silence(silent: float, *, alive: bool) -> None:
    assert lease.is_alive({"machine": "other/boot", "pid": os.getpid(), "start": "1"}, silent) == alive


def test_a_silent_lease_of_another_machine_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text(json.dumps({"machine": "other/boot", "pid": 1, "start": "1", "token": "t"}))
    long_ago = time.time() - 2 * lease.SILENCE_SECONDS
    os.utime(path, (long_ago, long_ago))
    with leased(path, "x"):
        pass


def test_what_another_took_in_the_meantime_is_not_cleared(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text(json.dumps({"token": "of a living one"}))
    lease._clear(path, {"token": "of a dead one"})  # two processes cannot be made to meet here at will
    assert json.loads(path.read_text()) == {"token": "of a living one"}


def test_a_process_has_a_start_and_a_zombie_none() -> None:
    assert process_start(os.getpid()) is not None
    child = subprocess.Popen([sys.executable, "-c", ""])
    while process_start(child.pid) is not None:
        time.sleep(0.01)
    child.wait()
