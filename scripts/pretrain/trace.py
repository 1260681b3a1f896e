"""trace.csv: what two runs that should be one are compared by: digests of the images taken and of all that was learnt.

A row after each of the first steps, at each regular checkpoint and at the end; equal byte for byte on one kind of
machine, with any number of loader processes, and after interruptions. On another kind the losses of the first steps are
still close (docs/audit.md); later ones say nothing there.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from scripts.lib.files import write_csv
from scripts.pretrain.contract import Position
from scripts.pretrain.epoch_batches import WHOLE, EpochBatches
from scripts.pretrain.run_base import RunBase
from scripts.pretrain.shard_images import ImageList

HEADER = ("step", "epoch", "loss", "images", "module", "optimizer")
FIRST_STEPS = 8  # each with a row: as long as two kinds of machine can be compared by their losses


class Trace:
    """Rows of trace.csv; part of the checkpoint."""

    def __init__(self, run: RunBase, images: ImageList) -> None:
        self._run, self._ids = run, images.table["image_id"]
        self.rows: list[list[str]] = []

    def record(self, done: Position, loss: float, module: str, optimizer: str) -> None:
        """Add the row of the first `done.step` steps.

        Args:
            done: where the run stands.
            loss: of the last step; written with all its bits.
            module: digest of the state of the method: weights, moving averages, queues, centres, statistics.
            optimizer: digest of the state of the optimiser.
        """
        cells = (done.step, (done.step - 1) // done.steps_per_epoch + 1, float(loss).hex())
        self.rows.append([*map(str, cells), self._images(done), module, optimizer])

    def _images(self, done: Position) -> str:
        """Return the SHA-256 of the ids of all images since the row before, in the order in which they were taken."""
        run, start = self._run, int(self.rows[-1][0]) if self.rows else 0
        batches = EpochBatches(len(self._ids), run.batch_size, run.epochs, seed=run.seed, start_step=start, share=WHOLE)
        digest = hashlib.sha256()
        for _, batch in zip(range(done.step - start), batches, strict=False):
            names = self._ids.take([index for _, index in batch]).to_pylist()
            digest.update("".join(f"{name}\n" for name in names).encode())
        return digest.hexdigest()

    def state(self) -> list[list[str]]:
        """Return what a checkpoint must hold."""
        return self.rows

    def restore(self, state: list[list[str]]) -> None:
        """Continue from a checkpoint."""
        self.rows = [list(row) for row in state]

    def write(self, path: Path) -> None:
        """Write trace.csv."""
        write_csv(path, HEADER, self.rows)
