"""When a run stops: signals, which SLURM sends more than once, and the end of its job, which not all SLURMs tell it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.pretrain.interruption import Interruption, job_end


@pytest.fixture
def watched() -> Iterator[Interruption]:
    interruption = Interruption({})
    interruption.watch()
    yield interruption
    interruption.release()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_that_comes_three_times_is_one(watched: Interruption, number: signal.Signals) -> None:
    assert watched.reason() is None
    for _ in range(3):
        os.kill(os.getpid(), number)
    assert watched.reason() == f"it got {number.name}"


def test_a_person_who_asks_twice_is_obeyed_at_once(watched: Interruption) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)
    assert watched.reason() == "it got SIGTERM"
    os.kill(os.getpid(), signal.SIGINT)
    assert watched.reason() == "it got SIGINT"
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def squeue(folder: Path, script: str) -> dict[str, str]:
    """The variables of a job of a SLURM that does not tell its end, with this `squeue`."""
    (folder / "squeue").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "squeue").chmod(0o755)
    return {"SLURM_JOB_ID": "7", "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def test_the_end_of_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    end = int(time.time()) + 3600
    assert job_end({}) is None and job_end({"SLURM_JOB_END_TIME": str(end)}) == end
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    told = squeue(tmp_path, f'test "$*" = "--noheader --jobs=7 --format=%e" && date -d @{end} +$SLURM_TIME_FORMAT')
    assert job_end(told) == end
    assert job_end({**told, "SLURM_JOB_END_TIME": "99"}) == 99.0
    assert job_end(squeue(tmp_path, "echo N/A")) is None  # no limit
    assert job_end(squeue(tmp_path, "echo 99; exit 1")) is None  # the scheduler does not answer
    assert Interruption({"SLURM_JOB_END_TIME": str(end)}).reason() is None
    assert Interruption({"SLURM_JOB_END_TIME": str(end - 3590)}).reason() == "the time of its job ends"
