"""monitor.csv: what the encoder is worth while it is trained, equal byte for byte after an interruption.

kNN accuracy on a labelled set's train images, each left out in turn (votes of DINO's `eval_knn.py`), RankMe and the
deviation of the features. The encoder is in eval mode for it, without gradients, in 32 bits, and put back as it was:
weights, BatchNorm's statistics and the generators of the run know nothing of it (tested bit for bit).
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from scripts.lib.effective_rank import effective_rank
from scripts.lib.errors import UserError
from scripts.lib.files import write_csv
from scripts.lib.images import Pixels
from scripts.lib.labelled_sample import LabelledSample
from scripts.lib.votes import vote
from scripts.pretrain.contract import Position, normalised
from scripts.pretrain.metrics import feature_std
from scripts.pretrain.settings_monitor import MonitorSettings

LOG = logging.getLogger(__name__)
HEADER = ("step", "epoch", "knn", "chance", "rank_me", "feature_std", "dimensions", "images")
BATCH = 64  # images at a time; part of the bits
DIGITS = 9  # of a cosine: more is the order of summation, which depends on a row's place in the matrix

Features = npt.NDArray[np.float32]


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Put a module in eval mode, and afterwards each of its parts back in the mode that it had."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def features_of(encoder: nn.Module, pixels: Pixels) -> Features:
    """Return the features of images [n, h, w, 3] → [n, d], in 32 bits; the encoder stays as it is."""
    device = next(encoder.parameters()).device
    found = []
    with torch.no_grad(), torch.autocast(device.type, enabled=False), frozen(encoder):
        for first in range(0, len(pixels), BATCH):
            batch = torch.from_numpy(np.ascontiguousarray(pixels[first : first + BATCH])).to(device)
            found.append(encoder(normalised(batch.permute(0, 3, 1, 2))).float().cpu())
    features: Features = torch.cat(found).numpy()
    return features


def left_out_knn(features: Features, labels: npt.NDArray[np.int64], classes: int, k: int, temperature: float) -> float:
    """Return the share of images whose class the weighted votes of the k nearest others give.

    Args:
        features: [n, d]; of two others that are equally near, the earlier row is the nearer.
        labels: [n].
        classes: labels are below it.
        k: neighbours; at most all others.
        temperature: a neighbour of cosine s has the weight exp(s / T).
    """
    rows = features.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    close = np.round(unit @ unit.T, DIGITS)
    np.fill_diagonal(close, -np.inf)  # itself comes last, and k leaves the last out
    order = np.argsort(-close, axis=1, kind="stable")[:, : min(k, len(rows) - 1)]
    answers = vote(np.take_along_axis(close, order, 1), labels[order], classes, order.shape[1], temperature)
    return float((answers == labels).mean())


class Monitor:
    """Rows of monitor.csv. Without settings there are none."""

    def __init__(self, settings: MonitorSettings | None, sample: LabelledSample | None) -> None:
        self._settings, self._sample = settings, sample
        self.rows: list[list[str]] = []

    @property
    def key(self) -> str:
        """Return what the rows depend on besides the encoder, for the key of the checkpoints."""
        if self._settings is None or self._sample is None:
            return ""
        digest = hashlib.sha256(f"{self._settings.model_dump_json()} {self._sample.pixels.shape}".encode())
        digest.update(np.ascontiguousarray(self._sample.pixels).data)
        digest.update(np.ascontiguousarray(self._sample.labels).data)
        return digest.hexdigest()

    def due(self, position: Position) -> bool:
        """Say whether the encoder is looked at when `position.step` steps are done, and was not yet."""
        if self._settings is None or str(position.step) in (row[0] for row in self.rows):
            return False
        epochs, rest = divmod(position.step, position.steps_per_epoch)
        return rest == 0 and (epochs % self._settings.every_epochs == 0 or position.step == position.total_steps)

    def observe(self, position: Position, encoder: nn.Module) -> None:
        """Add the row of `position`, of which `position.step` steps are done, when it is due.

        Raises:
            UserError: the features are not finite numbers.
        """
        if not self.due(position):
            return
        assert self._settings is not None and self._sample is not None
        features, sample = features_of(encoder, self._sample.pixels), self._sample
        if not np.isfinite(features).all():
            raise UserError(
                f"the encoder gives features that are not finite numbers after step {position.step}: the run diverged; "
                "lower its learning_rate, or use precision bf16 or fp32"
            )
        spread = float(feature_std(functional.normalize(torch.from_numpy(features), dim=1)))
        row = {"rank_me": effective_rank(features), "feature_std": 0.0 if math.isnan(spread) else spread}
        if sample.task:
            k, temperature = self._settings.neighbours, self._settings.temperature
            row["knn"] = 100 * left_out_knn(features, sample.labels, sample.classes, k, temperature)
            row["chance"] = 100 * float(np.bincount(sample.labels).max() / len(sample.labels))
        counts = {
            "step": position.step,
            "epoch": position.step // position.steps_per_epoch,
            "dimensions": features.shape[1],
            "images": len(features),
        }
        cells = {name: str(value) for name, value in counts.items()} | {name: f"{v:.6g}" for name, v in row.items()}
        self.rows.append([cells.get(name, "") for name in HEADER])
        LOG.info(
            "after epoch %d: %sRankMe %.1f of %d, feature deviation %.3f",
            counts["epoch"],
            f"kNN {row['knn']:.1f} % on {sample.task} (chance {row['chance']:.1f} %), " if sample.task else "",
            *(row["rank_me"], min(features.shape), row["feature_std"]),
        )

    def columns(self) -> dict[str, list[float]]:
        """Return the rows so far by column; an empty cell is not a number."""
        return {name: [float(row[place] or "nan") for row in self.rows] for place, name in enumerate(HEADER)}

    def state(self) -> Any:
        """Return what a checkpoint must hold."""
        return [list(row) for row in self.rows]

    def restore(self, state: Any) -> None:
        """Continue from a checkpoint."""
        self.rows = [list(row) for row in state]

    def write(self, path: Path) -> None:
        """Write monitor.csv."""
        write_csv(path, HEADER, self.rows)
