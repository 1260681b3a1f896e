"""What a person sees of a run while it goes: bar and log lines, speed.csv, TensorBoard, a word when it goes wrong.

Nothing here enters a result, so the engine loads this module by name: an edit of a sentence trains nothing again
(scripts/lib/fingerprint.py). On several devices, the first process alone has a `Watch`.
"""

from __future__ import annotations

import csv
import logging
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from PIL import Image
from tensorboardX import SummaryWriter

from scripts.pretrain.contract import Position
from scripts.pretrain.diagnosis import BAD, GOOD, diagnose
from scripts.pretrain.metrics import Metrics
from scripts.pretrain.monitor import HEADER, Monitor
from scripts.pretrain.progress import Progress
from scripts.pretrain.settings import RunBase
from scripts.pretrain.speed import Tally, new_stopwatch

LOG = logging.getLogger(__name__)
SPEED_HEADER = ("step", "images_per_second", "data_wait_share", "seconds")
SECONDS_BETWEEN_TALLIES = 2.0
SECONDS_BETWEEN_SPEED_ROWS = 30.0
# Of all epochs, and in epochs: before, a loss near its reference line says nothing.
SETTLED_SHARE, SETTLED_EPOCHS = 0.1, 3


def advice_on_waiting(run: RunBase, workers: int) -> str:
    """Return what to do about a run that waits for images."""
    ways = ["give the job more threads (now one: the training process makes the images itself)"]
    if workers:
        ways = [f"give the job more threads (now {workers + 1}, {workers} of them make images)"]
    if run.augmentation_backend == "pil":
        ways.append("set augmentation_backend to opencv, which is two to three times as fast")
    return ", or ".join(ways)


class Watch(Callback):
    """Sees each step; `step` is called by the engine, the hooks by Lightning.

    Args:
        run: settings.
        start: where the run stands.
        metrics: rows of metrics.csv, read only.
        monitor: rows of monitor.csv, read only.
        folder: for speed.csv and TensorBoard's files; None writes none.
        workers: loader processes.
        views: views.png, shown in TensorBoard too.
    """

    def __init__(
        self,
        run: RunBase,
        start: Position,
        *,
        metrics: Metrics,
        monitor: Monitor,
        folder: Path | None,
        workers: int,
        views: Path,
    ) -> None:
        self._run, self._metrics, self._monitor = run, metrics, monitor
        self._progress = Progress(start, run.batch_size, advice_on_waiting(run, workers))
        self._stopwatch, self._speed = new_stopwatch(), Tally()
        self._done, self._total = start.step, start.total_steps
        self._shown_rows, self._shown_looks = len(metrics.rows), len(monitor.rows)
        self._warned = False
        self._writer: SummaryWriter | None = None
        self._speed_file: TextIO | None = None
        if folder is not None:
            self._open(folder, start, views)

    def _open(self, folder: Path, start: Position, views: Path) -> None:
        """Continue the files of a run that is continued, begin them anew for one that begins."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "speed.csv"
        goes_on = start.step > 0 and path.exists()
        self._speed_file = path.open("a" if goes_on else "w", encoding="utf-8", newline="", buffering=1)
        if not goes_on:
            self._write_speed(SPEED_HEADER)
        # TensorBoard forgets what an earlier attempt showed of the steps that are done again.
        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=start.step + 1 if start.step else 0)
        if views.exists():
            with Image.open(views) as picture:
                self._writer.add_image("views", np.asarray(picture.convert("RGB")), start.step, dataformats="HWC")

    def _write_speed(self, row: tuple[Any, ...]) -> None:
        if self._speed_file is not None:
            csv.writer(self._speed_file, lineterminator="\n").writerow(row)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show what the monitor said before the first step."""
        self._show_looks()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """End the wait for images."""
        self._stopwatch.batch_arrived()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Begin the wait for images; the engine's own callback comes before, so what it saved is not part of it."""
        self._show_looks()
        self._stopwatch.batch_done()

    def step(self, position: Position, loss: float | None) -> None:
        """Take note that the step at `position` is done; `loss` is None between two rows of metrics.csv."""
        self._stopwatch.step_done()
        self._done = position.step + 1
        last = self._done == position.total_steps
        tally = self._stopwatch.take(0.0 if last else SECONDS_BETWEEN_TALLIES)
        self._progress.step(position, loss, tally)
        if tally is not None:
            self._speed.add(tally)
            if last or self._speed.seconds >= SECONDS_BETWEEN_SPEED_ROWS:
                self._show_speed()
        self._show_metrics()
        if self._done % position.steps_per_epoch == 0 and not last and not self._warned:
            self._warn_when_bad(position)

    def _show_speed(self) -> None:
        speed, images = self._speed, self._speed.images_per_second(self._run.batch_size)
        self._write_speed((self._done, f"{images:.6g}", f"{speed.wait_share:.4f}", f"{speed.seconds:.3f}"))
        self._show("speed", {"images_per_second": images, "data_wait_share": speed.wait_share}, self._done)
        self._speed = Tally()

    def _show_metrics(self) -> None:
        for row in self._metrics.rows[self._shown_rows :]:
            cells = dict(zip(self._metrics.header, row, strict=True))
            self._show("train", {name: float(cells[name]) for name in cells if name != "step"}, int(cells["step"]))
        self._shown_rows = len(self._metrics.rows)

    def _show_looks(self) -> None:
        for row in self._monitor.rows[self._shown_looks :]:
            cells = dict(zip(HEADER, row, strict=True))
            drawn = {name: float(cells[name]) for name in ("knn", "rank_me", "feature_std") if cells[name]}
            self._show("monitor", drawn, int(cells["step"]))
        self._shown_looks = len(self._monitor.rows)

    def _show(self, group: str, values: dict[str, float], step: int) -> None:
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(f"{group}/{name}", value, step)

    def _warn_when_bad(self, position: Position) -> None:
        if position.epoch + 1 < max(SETTLED_EPOCHS, SETTLED_SHARE * position.epochs):
            return
        for finding in diagnose(self._run, self._metrics.columns(), self._monitor.columns()):
            if finding.level == BAD:
                self._warned = True
                LOG.warning("after epoch %d: %s %s", position.epoch + 1, finding.text, finding.advice)

    def close(self) -> None:
        """End bar and files, and say what the run looks like when it is complete."""
        self._progress.close()
        if self._speed_file is not None:
            self._speed_file.close()
        if self._writer is not None:
            self._writer.close()
        if self._done == self._total:
            for finding in diagnose(self._run, self._metrics.columns(), self._monitor.columns()):
                level = logging.INFO if finding.level == GOOD else logging.WARNING
                LOG.log(level, "%s: %s", finding.level, f"{finding.text} {finding.advice}".strip())
