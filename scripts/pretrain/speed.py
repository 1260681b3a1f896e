"""How fast a run is, and which share of its time it waits for images.

On a CPU the wait is the time between the end of a step and the arrival of the next batch. On a GPU the process runs
ahead of the device, so that time alone would blame the loader for what the device was busy with: there the wait is the
gap between the last operation of a step and the first of the next one, on the device's own clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch


class Clock(Protocol):
    """Marks moments of the device that computes."""

    def mark(self) -> Any:
        """Return a mark of now: when the device has done what it was given so far."""

    def seconds(self, earlier: Any, later: Any) -> float:
        """Return the time between two marks."""


class WallClock:
    """For a CPU."""

    def mark(self) -> float:
        """Return the time."""
        return time.monotonic()

    def seconds(self, earlier: float, later: float) -> float:
        """Return the difference."""
        return later - earlier


class DeviceClock:
    """For a GPU: events in the order of its work. Marking costs no waiting, reading waits for the later mark."""

    def mark(self) -> torch.cuda.Event:
        """Return an event."""
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def seconds(self, earlier: torch.cuda.Event, later: torch.cuda.Event) -> float:
        """Return the device's time between two events."""
        later.synchronize()
        return float(earlier.elapsed_time(later)) / 1000


@dataclass
class Tally:
    """Steps, and the seconds that they took."""

    steps: int = 0
    seconds: float = 0.0
    waited: float = 0.0  # of these seconds, for images

    def add(self, other: Tally) -> None:
        """Add another stretch of time."""
        self.steps += other.steps
        self.seconds += other.seconds
        self.waited += other.waited

    @property
    def wait_share(self) -> float:
        """Return the share of the time that was waited for images."""
        return min(1.0, self.waited / self.seconds) if self.seconds > 0 else 0.0

    def images_per_second(self, batch_size: int) -> float:
        """Return the images of all steps for each second."""
        return self.steps * batch_size / max(self.seconds, 1e-9)


class Stopwatch:
    """Collects the waits of steps; what starts a run (loader processes, first batch) is not counted."""

    def __init__(self, clock: Clock, now: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._now = clock, now
        self._since: float | None = None  # of the time that no tally has taken yet
        self._ended: Any = None
        self._waits: list[tuple[Any, Any]] = []
        self._steps = 0

    def batch_arrived(self) -> None:
        """Note that a batch is there and work on it begins."""
        if self._since is None:
            self._since = self._now()
        elif self._ended is not None:
            self._waits.append((self._ended, self._clock.mark()))

    def batch_done(self) -> None:
        """Note that the work on a batch is given to the device, and the next batch is asked for."""
        self._ended = self._clock.mark()

    def step_done(self) -> None:
        """Note that a step is done; it may have several batches."""
        self._steps += 1

    def take(self, at_least: float = 0.0) -> Tally | None:
        """Return what was collected since the last call, None when that were fewer than `at_least` seconds."""
        now = self._now()
        if self._since is None or now - self._since < at_least or not self._steps:
            return None
        waited = sum(self._clock.seconds(*wait) for wait in self._waits)
        tally = Tally(self._steps, now - self._since, waited)
        self._since, self._waits, self._steps = now, [], 0
        return tally


def new_stopwatch() -> Stopwatch:
    """Return one for the device of this process."""
    return Stopwatch(DeviceClock() if torch.cuda.is_available() else WallClock())
