"""The trace of a training as an audit reads it: rows of digests, parts between checkpoints, where two traces part."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.audit.closeness import EARLY_STEPS, Closeness, compare_losses
from scripts.audit.findings import DIFFERENT

WHAT = {
    "images": "other images, or in another order: the shards, their index or the seed differ",
    "loss": "the loss differs: the weights, the images or the arithmetic do",
    "module": "the method's weights, averages or queues differ",
    "optimizer": "the optimiser's state differs",
    "epoch": "the epochs are of another length: the number of images or the batch size differs",
}
Row = dict[str, str]


@dataclass(frozen=True)
class Segment:
    """A part of a run: the steps after `start` up to `end`."""

    start: int
    end: int
    checkpoint: Path | None  # of `start`; None: the start of the run


def read_trace(path: Path) -> list[Row]:
    """Return the rows of a trace.csv."""
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def segments(trace: Sequence[Row], kept: Sequence[Path], steps: int) -> list[Segment]:
    """Return the parts of a run that can be trained again.

    Args:
        trace: its rows.
        kept: its checkpoints, `<step>.ckpt`.
        steps: length of a part without a kept checkpoint at its end; the rows of the trace say where it ends.
    """
    rows = [int(row["step"]) for row in trace]
    starts = {0: None, **{int(path.stem): path for path in kept if path.stem.isdigit() and int(path.stem) in rows}}
    found = []
    for start, path in sorted(starts.items()):
        later = [each for each in starts if each > start]
        end = min(later) if later else max((row for row in rows if row <= start + steps), default=0)
        end = end if end > start else min((row for row in rows if row > start), default=0)
        if end > start:
            found.append(Segment(start, end, path))
    return found


def first_other_row(recorded: Sequence[Row], again: Sequence[Row], segment: Segment) -> tuple[int, str] | None:
    """Return the first step after which two traces differ, and in what; None when the segment's rows are equal."""
    left, right = (
        {int(row["step"]): row for row in rows if segment.start < int(row["step"]) <= segment.end}
        for rows in (recorded, again)
    )
    for step in sorted({*left, *right}):
        if step not in left or step not in right:
            return step, f"the {'recorded' if step not in left else 'repeated'} trace has no row of step {step}"
        for column, meaning in WHAT.items():
            if left[step][column] != right[step][column]:
                return step, f"{meaning} ({column}: {left[step][column][:24]} and {right[step][column][:24]})"
    return None


def judge_early(recorded: Sequence[Row], again: Sequence[Row]) -> Closeness:
    """Return what two traces of other kinds of machines are to each other, by the first steps of the run."""
    early = [[row for row in rows if int(row["step"]) <= EARLY_STEPS] for rows in (recorded, again)]
    for left, right in zip(*early, strict=False):
        if left["images"] != right["images"]:
            return Closeness(DIFFERENT, f"step {left['step']}: {WHAT['images']}")
    losses = [{int(row["step"]): float.fromhex(row["loss"]) for row in rows} for rows in early]
    return compare_losses(losses[0], losses[1])
