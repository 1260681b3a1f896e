"""Being asked to stop: by a signal, or by the end of a job's time.

SLURM and most clusters send SIGTERM before they kill, at a time limit, a preemption or a cancelled job. The run then
ends its step, saves, and exits with an error, so that whoever started it repeats the job, which continues. SLURM sends
the signal two or three times within a second (for the job, for its step, by srun); only a person's second Ctrl-C ends
the run at once.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
MARGIN_SECONDS = 60.0  # before a known end: a step and the writing of a checkpoint
SQUEUE_SECONDS = 30.0  # to wait for the scheduler's answer


def outlive_signals(worker: int) -> None:
    """Let a loader's process go on when everything of a job is signalled: the run needs its images to end the step."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def job_end(variables: Mapping[str, str]) -> float | None:
    """Return when the time of this SLURM job ends, in seconds since 1970; None where there is no job or no limit.

    SLURM before 23.02 does not tell its jobs, and inside of a job Snakemake's executor hides SLURM's variables: then
    the scheduler is asked. A scheduler that does not answer is no reason not to train.
    """
    told = variables.get("SLURM_JOB_END_TIME", "")
    if not told and (job := variables.get("SLURM_JOB_ID", "")).isdigit() and shutil.which("squeue"):
        with suppress(OSError, subprocess.SubprocessError):
            told = subprocess.run(
                ["squeue", "--noheader", f"--jobs={job}", "--format=%e"],
                env={**variables, "SLURM_TIME_FORMAT": "%s"},
                capture_output=True,
                text=True,
                timeout=SQUEUE_SECONDS,
                check=True,
            ).stdout.strip()
    return float(told) if told.isdigit() else None


class Interruption:
    """Notes the first signal, and knows when the job's time ends."""

    def __init__(self, variables: Mapping[str, str] = os.environ) -> None:
        self._end = job_end(variables)
        self._signal: str | None = None
        self._before: dict[int, Any] = {}
        self._longest, self._last = 0.0, time.monotonic()  # seconds of a step

    def watch(self) -> None:
        """Take over the signals."""
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._note)
        self._last = time.monotonic()

    def release(self) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._signal == signal.SIGINT.name == signal.Signals(number).name:
            signal.default_int_handler(number, frame)  # asked twice: at once, without saving
        self._signal = signal.Signals(number).name

    def reason(self) -> str | None:
        """Return why the run should stop after this step, None when it need not; asked once after each step."""
        now = time.monotonic()
        self._longest, self._last = max(self._longest, now - self._last), now
        if self._signal is not None:
            return f"it got {self._signal}"
        if self._end is not None and time.time() + MARGIN_SECONDS + 2 * self._longest > self._end:
            return "the time of its job ends"
        return None
