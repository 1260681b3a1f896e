"""metrics.csv: the curve of a run, equal byte for byte after an interruption. Speeds go to the log instead."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scripts.lib.errors import UserError
from scripts.lib.files import write_csv
from scripts.pretrain.contract import Position

MAX_ROWS = 2000  # a run of 1.1 million steps still has a curve that a person can read


def feature_std(features: Tensor) -> Tensor:
    """Return the deviation of rows [n, d] of length 1, times √d: 1 when they fill the sphere, 0 in a collapse."""
    return features.detach().std(dim=0).mean() * math.sqrt(features.shape[1])


def entropy_and_information(targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean entropy of rows [..., k] of sum 1, and how much they tell about their image, both in nats.

    Information is the entropy of the mean less the mean entropy, at most the smaller of ln k and ln(rows). It is 0 when
    all images have the same, whether that is one output or all alike: what both ways to collapse have in common.
    """
    rows = targets.detach().float().flatten(0, -2)  # n k
    entropy = torch.special.entr(rows).sum(dim=1).mean()
    return entropy, torch.special.entr(rows.mean(dim=0)).sum() - entropy


class Metrics:
    """Rows of means over windows of steps: one step each in runs of up to `MAX_ROWS` steps, longer windows in longer
    runs.

    The rows and the values since the last row are part of the checkpoint.
    """

    def __init__(self, names: Sequence[str], total_steps: int) -> None:
        self.names = ("loss", *names)
        self.window = max(1, math.ceil(total_steps / MAX_ROWS))
        self.total_steps = total_steps
        self.done = 0  # steps
        self.rows: list[list[str]] = []
        self._pending: list[Tensor] = []  # one [len(names)] for each step, still on the device that made it

    @property
    def header(self) -> tuple[str, ...]:
        """Return the columns: `step` is the number of steps done, `epoch` counts from 1."""
        return ("step", "epoch", "loss", "learning_rate", *self.names[1:])

    def record(self, position: Position, learning_rate: float, values: dict[str, Tensor]) -> float | None:
        """Take the values of one step; return the loss of a window that this step completes.

        Raises:
            UserError: the loss is not a finite number.
        """
        self.done = position.step + 1
        self._pending.append(torch.stack([values[name].detach().float() for name in self.names]))
        done = self.done
        if done % self.window and done != self.total_steps:
            return None
        means = torch.stack([each.cpu() for each in self._pending]).double().mean(dim=0).tolist()
        self._pending = []
        self._check(means, done)
        loss, *others = (f"{value:.6g}" for value in means)
        self.rows.append([str(done), str(position.epoch + 1), loss, f"{learning_rate:.6g}", *others])
        return float(means[0])

    @staticmethod
    def _check(values: Iterable[float], done: int) -> None:
        if not all(map(math.isfinite, values)):
            raise UserError(
                f"the loss is not a finite number at step {done}; lower learning_rate of the run, or use precision "
                "bf16 or fp32"
            )

    def columns(self) -> dict[str, list[float]]:
        """Return the rows so far by column."""
        return {name: [float(row[place]) for row in self.rows] for place, name in enumerate(self.header)}

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must hold.

        Raises:
            UserError: a loss is not a finite number. A checkpoint of a run that went wrong would be continued from.
        """
        pending = [each.cpu() for each in self._pending]
        for step, values in enumerate(pending):
            self._check(values.tolist(), self.done - len(pending) + step + 1)
        return {"rows": self.rows, "pending": pending}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint."""
        self.rows = [list(row) for row in state["rows"]]
        self._pending = list(state["pending"])

    def write(self, path: Path) -> None:
        """Write metrics.csv."""
        write_csv(path, self.header, self.rows)
