"""Being asked to stop: by a signal, or by the end of a job's time.

SLURM and most clusters send SIGTERM before they kill, at a time limit, a preemption or a cancelled job. The run then
ends its step, saves, and exits with an error, so that whoever started it repeats the job, which continues.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
MARGIN_SECONDS = 60.0  # before a known end: a step and the writing of a checkpoint


def outlive_signals(worker: int) -> None:
    """Let a loader's process go on when everything of a job is signalled: the run needs its images to end the step."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


class Interruption:
    """Notes the first signal, and knows when the job's time ends (SLURM says so in SLURM_JOB_END_TIME)."""

    def __init__(self, variables: Mapping[str, str] = os.environ) -> None:
        end = variables.get("SLURM_JOB_END_TIME", "")
        self._end = float(end) if end.isdigit() else None  # seconds since 1970
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
        if self._signal is not None:
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
