"""Progress of a run: a bar for someone who watches, a line now and then in a log file."""

from __future__ import annotations

import logging
import sys
import time
from collections import deque
from contextlib import ExitStack

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from scripts.pretrain.contract import Position
from scripts.pretrain.speed import Tally

LOG = logging.getLogger(__name__)
SECONDS_BETWEEN_LINES = 15.0
SECONDS_BETWEEN_LINES_BESIDE_A_BAR = 120.0
RECENT = 10  # tallies that the bar's figures are of
STARVING_SHARE, STARVING_LINES = 0.2, 3  # from which share of the time on, in how many lines one after the other


class Progress:
    """Shows epoch, step, loss, images per second, the share of time waited for images, and the time left.

    Args:
        start: where the run stands.
        batch_size: images of a step.
        advice: what to do about a run that waits for images; said once.
    """

    def __init__(self, start: Position, batch_size: int, advice: str) -> None:
        self._batch_size, self._advice = batch_size, advice
        self._said = time.monotonic()
        self._loss = float("nan")
        self._all, self._line, self._recent = Tally(), Tally(), deque[Tally](maxlen=RECENT)
        self._starving = 0
        watched = sys.stderr.isatty()
        self._pause = SECONDS_BETWEEN_LINES_BESIDE_A_BAR if watched else SECONDS_BETWEEN_LINES
        self._bar = tqdm(total=start.total_steps, initial=start.step, unit="step", disable=not watched)
        self._lines_above_the_bar = ExitStack()
        if watched:
            self._lines_above_the_bar.enter_context(logging_redirect_tqdm())

    def step(self, position: Position, loss: float | None, tally: Tally | None) -> None:
        """Take note that the step at `position` is done.

        Args:
            position: of the step.
            loss: of a row of metrics.csv, None between two rows.
            tally: the time since the last one, None when none is ready.
        """
        self._loss = self._loss if loss is None else loss
        done = position.step + 1
        if tally is not None:
            self._recent.append(tally)
            for total in (self._all, self._line):
                total.add(tally)
        if not self._bar.disable:
            self._bar.set_description(f"epoch {position.epoch + 1}/{position.epochs}", refresh=False)
            recent = Tally()
            for each in self._recent:
                recent.add(each)
            self._bar.set_postfix_str(f"loss {self._loss:.4f}, {self._speed(recent)}", refresh=False)
            self._bar.update()
        if self._line.steps and (time.monotonic() - self._said >= self._pause or done == position.total_steps):
            self._say(position, done)

    def _speed(self, tally: Tally) -> str:
        if not tally.steps:
            return "no speed yet"
        return f"{tally.images_per_second(self._batch_size):.0f} images/s, data wait {100 * tally.wait_share:.0f} %"

    def _say(self, position: Position, done: int) -> None:
        self._said = time.monotonic()
        left = (position.total_steps - done) * self._all.seconds / self._all.steps
        LOG.info(
            "epoch %d/%d, step %d/%d, loss %.4f, %s, %s left",
            *(position.epoch + 1, position.epochs, done, position.total_steps, self._loss, self._speed(self._line)),
            tqdm.format_interval(left),
        )
        self._starving = self._starving + 1 if self._line.wait_share > STARVING_SHARE else 0
        if self._starving == STARVING_LINES and self._advice:
            share = 100 * self._line.wait_share
            LOG.warning("%.0f %% of the time is spent waiting for images: %s", share, self._advice)
            self._advice = ""
        self._line = Tally()

    def close(self) -> None:
        """End the bar."""
        self._bar.close()
        self._lines_above_the_bar.close()
