"""Run `train` several times in processes that are killed, asked to stop, or short of disk at given moments.

`run_lives` takes a list of lives and returns what they logged. They are processes, one after the other, forked by a
process of this module that loads torch once for all tests and uses it only in its children. A life has `flags`, and may
have

    die_at      steps after which SIGKILL comes, in the middle of the next step: when the gradients are there and the
                weights are not yet changed
    die_saving  [which checkpoint, from 1; "half", "renamed" or "whole"]: SIGKILL while it is written, between its two
                renames, or right after it
    signal_at   steps after which SIGTERM comes
    signal_loading   true: SIGTERM comes, to the loader's processes too, while the first images are read
    end_in      seconds until the job's time is up, as SLURM says it
    full_at     checkpoints, from 1, for which the disk has no room
    workers, prefetch   of the loader
"""

from __future__ import annotations

import json
import logging
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from scripts.pretrain.train import main  # isort: skip (sets how OpenMP waits, before torch is loaded)

from torch.utils.data import get_worker_info

from scripts.lib import checkpoints
from scripts.lib.errors import UserError
from scripts.pretrain import machine, steps
from scripts.pretrain.shard_images import ShardImages
from tests.conftest import ROOT

STOPPED = 1
SECONDS = 1500  # for the lives of one test, on a machine with much else to do


@cache
def server() -> subprocess.Popen[str]:
    """The process that forks the lives; it ends with its input, when the tests do."""
    command = [sys.executable, "-m", "tests.pretrain.lives"]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def run_lives(lives: list[dict[str, Any]]) -> str:
    """Train once for each life, in a process of its own; return what was logged."""
    served = server()
    assert served.stdin is not None and served.stdout is not None
    with tempfile.NamedTemporaryFile("r", suffix=".log") as log:
        served.stdin.write(json.dumps({"lives": lives, "log": log.name}) + "\n")
        served.stdin.flush()
        answered, _, _ = select.select([served.stdout], [], [], SECONDS)
        line = served.stdout.readline() if answered else ""
        problem = json.loads(line) if line else "no answer from the process that forks them"
        if not line:
            served.kill()
            server.cache_clear()
        text = log.read()
        assert problem == "", f"{problem}\n{text[-3000:]}"
        return text


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_in_a_step(after: int) -> None:
    done = 0

    def count(*_: Any) -> None:
        nonlocal done
        done += 1
        if done > after:
            kill()

    # Lightning calls this when loss and gradients are there, whatever the optimiser.
    steps.Steps.on_before_optimizer_step = count  # type: ignore[method-assign]


def signal_in_a_step(after: int) -> None:
    done = 0

    def count(*_: Any) -> None:
        nonlocal done
        done += 1
        if done == after + 1:
            os.kill(os.getpid(), signal.SIGTERM)

    steps.Steps.on_before_optimizer_step = count  # type: ignore[method-assign]


def signal_while_loading() -> None:
    real, sent = ShardImages.__getitem__, False

    def read(self: ShardImages, item: Any) -> Any:
        nonlocal sent
        if not sent and get_worker_info() is not None:  # not for views.png
            sent = True
            os.killpg(os.getpgrp(), signal.SIGTERM)
        return real(self, item)

    ShardImages.__getitem__ = read  # type: ignore[method-assign]


def each_save(before: Callable[[int], None], after: Callable[[], None]) -> None:
    """Call `before` with the number of each checkpoint, from 1, and `after` when it is written or cannot be."""
    saves, real = 0, steps.save_checkpoint

    def save(*content: Any) -> None:
        nonlocal saves
        saves += 1
        before(saves)
        try:
            real(*content)
        finally:
            after()

    steps.save_checkpoint = save


def die_saving(which: int, moment: str) -> None:
    now, real_sync, real_replace = 0, os.fsync, os.replace

    def note(number: int) -> None:
        nonlocal now
        now = number

    def sync(descriptor: int) -> None:
        if now == which and moment == "half":
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            os.truncate(path, path.stat().st_size // 2)
            kill()
        real_sync(descriptor)

    def replace(old: Any, new: Any) -> None:
        real_replace(old, new)
        last = {"renamed": checkpoints.PREVIOUS, "whole": checkpoints.LAST}.get(moment, "/")
        if now == which and str(new).endswith(last):
            kill()

    each_save(note, lambda: None)
    os.fsync, os.replace = sync, replace  # type: ignore[assignment]


def fill_disk(at: list[int]) -> None:
    kind, limits = resource.RLIMIT_FSIZE, resource.getrlimit(resource.RLIMIT_FSIZE)
    each_save(
        lambda number: resource.setrlimit(kind, (4096, limits[1])) if number in at else None,
        lambda: resource.setrlimit(kind, limits),
    )


def live(life: dict[str, Any]) -> None:
    """Train in this process, which may not come back."""
    if life.get("workers") is not None:
        machine.Place.workers = property(lambda self: life["workers"])  # type: ignore[assignment, method-assign]
    if life.get("prefetch") is not None:
        machine.Place.prefetch = property(lambda self: life["prefetch"])  # type: ignore[assignment, method-assign]
    if life.get("die_at") is not None:
        die_in_a_step(life["die_at"])
    if life.get("die_saving") is not None:
        die_saving(*life["die_saving"])
    if life.get("signal_at") is not None:
        signal_in_a_step(life["signal_at"])
    if life.get("signal_loading") is not None:
        os.setsid()  # a group of its own
        signal_while_loading()
    if life.get("full_at") is not None:
        fill_disk(life["full_at"])
    if life.get("end_in") is not None:
        os.environ["SLURM_JOB_END_TIME"] = str(int(time.time() + life["end_in"]))
    try:
        main(life["flags"])
    except UserError as error:
        logging.getLogger("tests").error("%s", error)
        sys.exit(STOPPED)


def expected_end(life: dict[str, Any]) -> int:
    if life.get("die_at") is not None or life.get("die_saving") is not None:
        return -signal.SIGKILL
    return STOPPED if {"signal_at", "signal_loading", "end_in"} & life.keys() else 0


def fork(life: dict[str, Any], log: str) -> int:
    """Live in a child that writes to `log`; return how it ended."""
    child = os.fork()
    if child == 0:
        written = os.open(log, os.O_WRONLY | os.O_APPEND)
        os.dup2(written, 1)
        os.dup2(written, 2)
        live(life)
        sys.exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def problem_of(lives: list[dict[str, Any]], log: str) -> str:
    """Live all of `lives`, up to the first that ends as it should not; say which that was."""
    for number, life in enumerate(lives):
        status = fork(life, log)
        if status != expected_end(life):
            return f"life {number} ended with {status} where {expected_end(life)} was expected: {life}"
    return ""


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    while line := sys.stdin.readline():
        print(json.dumps(problem_of(**json.loads(line))), flush=True)
