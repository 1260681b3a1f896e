from __future__ import annotations

import logging
from dataclasses import dataclass

import pytest

from scripts.pretrain import progress
from scripts.pretrain.contract import Position
from scripts.pretrain.progress import Progress
from scripts.pretrain.speed import Stopwatch, Tally, WallClock


@dataclass
class Hands:
    """A clock that stands until it is moved; also the time of the process."""

    time: float = 0.0

    def mark(self) -> float:
        return self.time

    def seconds(self, earlier: float, later: float) -> float:
        return later - earlier


def one_step(stopwatch: Stopwatch, hands: Hands, waits: float, works: float, batches: int = 1) -> None:
    for _ in range(batches):
        hands.time += waits
        stopwatch.batch_arrived()
        hands.time += works
        stopwatch.batch_done()
    stopwatch.step_done()


def test_waits_are_what_lies_between_the_end_of_a_step_and_the_next_batch() -> None:
    hands = Hands()
    stopwatch = Stopwatch(hands, lambda: hands.time)
    one_step(stopwatch, hands, waits=100.0, works=3.0)  # the start of the loader is no wait
    one_step(stopwatch, hands, waits=1.0, works=3.0)
    one_step(stopwatch, hands, waits=2.0, works=3.0)
    assert stopwatch.take() == Tally(steps=3, seconds=12.0, waited=3.0)
    one_step(stopwatch, hands, waits=5.0, works=5.0)
    tally = stopwatch.take()
    assert tally is not None and tally.wait_share == 0.5 and tally.images_per_second(20) == 2.0


def test_a_step_of_several_batches_is_one_step() -> None:
    hands = Hands()
    stopwatch = Stopwatch(hands, lambda: hands.time)
    one_step(stopwatch, hands, waits=1.0, works=1.0, batches=4)
    assert stopwatch.take() == Tally(steps=1, seconds=7.0, waited=3.0)


def test_nothing_is_taken_before_there_is_something() -> None:
    hands = Hands()
    stopwatch = Stopwatch(hands, lambda: hands.time)
    assert stopwatch.take() is None
    one_step(stopwatch, hands, waits=1.0, works=1.0)
    assert stopwatch.take(at_least=2.0) is None
    one_step(stopwatch, hands, waits=0.0, works=1.0)
    assert stopwatch.take(at_least=2.0) == Tally(2, 2.0, 0.0)
    assert stopwatch.take() is None


def test_the_wall_clock_goes_forward() -> None:
    clock = WallClock()
    earlier = clock.mark()
    assert clock.seconds(earlier, clock.mark()) >= 0


def lines_of(shares: list[float], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One line for each step, the share of each step waited."""
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    watched = Progress(Position(0, 5, 2), 32, "give it threads")
    with caplog.at_level(logging.INFO):
        for step, share in enumerate(shares):
            watched.step(Position(step, 5, 2), 1.5, Tally(1, 4.0, 4.0 * share))
    watched.close()
    return [record.getMessage() for record in caplog.records]


def test_a_line_says_speed_wait_and_time_left(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = lines_of([0.25, 0.0], caplog, monkeypatch)
    assert lines == [
        "epoch 1/2, step 1/10, loss 1.5000, 8 images/s, data wait 25 %, 00:36 left",
        "epoch 1/2, step 2/10, loss 1.5000, 8 images/s, data wait 0 %, 00:32 left",
    ]


def test_a_starving_run_is_told_what_to_do_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two lines, a good one, then many: only three in a row count.
    lines = lines_of([0.3, 0.3, 0.1, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3], caplog, monkeypatch)
    said = [place for place, line in enumerate(lines) if "waiting for images" in line]
    assert said == [6] and lines[6] == "30 % of the time is spent waiting for images: give it threads"
