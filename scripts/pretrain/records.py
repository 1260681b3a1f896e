"""What a run writes down about itself, all of it part of the checkpoint, so that no interruption shows in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scripts.pretrain.cost import Cost
from scripts.pretrain.metrics import Metrics
from scripts.pretrain.monitor import Monitor
from scripts.pretrain.trace import Trace


@dataclass(frozen=True)
class Records:
    """The tables of a run."""

    metrics: Metrics
    monitor: Monitor
    trace: Trace
    cost: Cost

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must hold."""
        return {name: record.state() for name, record in vars(self).items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint."""
        for name, record in vars(self).items():
            record.restore(state[name])
