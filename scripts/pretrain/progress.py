"""Progress of a run: a bar for someone who watches, a line now and then in a log file."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import ExitStack

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from scripts.pretrain.contract import Position

LOG = logging.getLogger(__name__)
SECONDS_BETWEEN_LINES = 15.0
SECONDS_BETWEEN_LINES_BESIDE_A_BAR = 120.0


class Progress:
    """Shows epoch, step, loss, images per second and the time left."""

    def __init__(self, start: Position, batch_size: int) -> None:
        self._start, self._batch_size = start, batch_size
        self._began = self._said = time.monotonic()
        self._loss = float("nan")
        watched = sys.stderr.isatty()
        self._pause = SECONDS_BETWEEN_LINES_BESIDE_A_BAR if watched else SECONDS_BETWEEN_LINES
        self._bar = tqdm(total=start.total_steps, initial=start.step, unit="step", disable=not watched)
        self._lines_above_the_bar = ExitStack()
        if watched:
            self._lines_above_the_bar.enter_context(logging_redirect_tqdm())

    def step(self, position: Position, loss: float | None) -> None:
        """Take note that the step at `position` is done; `loss` is None between two rows of metrics.csv."""
        self._loss = self._loss if loss is None else loss
        done = position.step + 1
        now = time.monotonic()
        rate = (done - self._start.step) / max(now - self._began, 1e-9)  # steps per second
        images = rate * self._batch_size
        if not self._bar.disable:
            self._bar.set_description(f"epoch {position.epoch + 1}/{position.epochs}", refresh=False)
            self._bar.set_postfix_str(f"loss {self._loss:.4f}, {images:.0f} images/s", refresh=False)
            self._bar.update()
        if now - self._said >= self._pause or done == position.total_steps:
            self._said = now
            LOG.info(
                "epoch %d/%d, step %d/%d, loss %.4f, %.0f images/s, %s left",
                position.epoch + 1,
                position.epochs,
                done,
                position.total_steps,
                self._loss,
                images,
                tqdm.format_interval((position.total_steps - done) / rate),
            )

    def close(self) -> None:
        """End the bar."""
        self._bar.close()
        self._lines_above_the_bar.close()
