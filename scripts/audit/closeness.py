"""Class B: whether results of two kinds of machines are close enough to be the same run (reference: docs/audit.md)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import safetensors

from scripts.audit.findings import CLOSE, DIFFERENT, UNDECIDABLE
from scripts.lib.records import Record, result_name

SCORE_TOLERANCE = 1e-4  # of a detector's score, absolute
FLIP_MARGIN = 1e-3  # a decision may turn only where the score is nearer to its threshold than this,
ROWS_PER_FLIP = 100_000  # and once in so many rows, or a part of them
COSINE = 0.9999  # between two embeddings of an image
FIRST_LOSS, EARLY_LOSS = 1e-6, 1e-5  # of step 1, and of steps 2 to 8, relative
EARLY_STEPS = 8  # after which closeness of two trainings says nothing


class Closeness(NamedTuple):
    """What two files are to each other."""

    verdict: str
    text: str


def thresholds_of(records: Iterable[Record], detector: str) -> list[float]:
    """Return the scores of `detector` at which a recorded job of `judge` decides."""
    found: set[float] = set()
    for record in records:
        if record["step"] == "filter.judge":
            for rule in record["values"]["recipe"].get("rules", []):
                for part in ("drop", "review"):
                    found |= set(_numbers(rule.get(part, {}).get(detector)))
    return sorted(found)


def _numbers(value: Any) -> list[float]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        return [number for each in value for number in _numbers(each)]
    return [float(value)] if isinstance(value, int | float) else []


def compare_scores(one: Path, other: Path, thresholds: Sequence[float]) -> Closeness:
    """Compare two tables of a detector: scores and the decisions that follow from them."""
    columns = ["image_id", "reason", "score"]
    left, right = (pq.read_table(path, columns=columns) for path in (one, other))
    for name in columns[:2]:
        if left[name].to_pylist() != right[name].to_pylist():
            return Closeness(DIFFERENT, f"other rows or reasons (column {name})")
    ids = left["image_id"].to_pylist()
    a, b = (table["score"].to_numpy().astype(np.float64) for table in (left, right))
    if not ids:
        return Closeness(CLOSE, "no rows")
    gap = np.abs(a - b)
    worst = int(np.argmax(gap))
    flips = [
        (ids[row], threshold, max(abs(a[row] - threshold), abs(b[row] - threshold)))
        for threshold in thresholds
        for row in np.flatnonzero((a >= threshold) != (b >= threshold))
    ]
    said = f"scores differ by at most {gap[worst]:.2g} ({ids[worst]})"
    if flips:
        listed = ", ".join(f"{name} at {threshold:g} by {margin:.1g}" for name, threshold, margin in flips[:20])
        said += f"; {len(flips)} decisions turn: {listed}"
    allowed = math.ceil(len(ids) / ROWS_PER_FLIP)
    bad = gap[worst] > SCORE_TOLERANCE or len(flips) > allowed or any(flip[2] >= FLIP_MARGIN for flip in flips)
    return Closeness(DIFFERENT if bad else CLOSE, said)


def compare_embeddings(one: Path, other: Path) -> Closeness:
    """Compare two files of features: each image's vector by its cosine; all else must be equal."""
    least = 1.0
    with safetensors.safe_open(one, framework="np") as left, safetensors.safe_open(other, framework="np") as right:
        if set(left.keys()) != set(right.keys()):
            return Closeness(DIFFERENT, "other tensors")
        for name in sorted(left.keys()):
            a, b = left.get_tensor(name), right.get_tensor(name)
            if a.shape != b.shape or a.dtype != b.dtype:
                return Closeness(DIFFERENT, f"tensor {name} has another shape or type")
            if a.dtype.kind == "f" and a.ndim >= 2:
                x, y = (each.astype(np.float64) for each in (a, b))
                norms = [np.linalg.norm(each, axis=-1) for each in (x, y)]
                lengths = norms[0] * norms[1]
                both_nothing = (norms[0] == norms[1]).astype(np.float64)
                cosines = np.where(lengths > 0, (x * y).sum(axis=-1) / np.where(lengths > 0, lengths, 1), both_nothing)
                least = min(least, float(cosines.min(initial=1.0)))
            elif a.tobytes() != b.tobytes():
                return Closeness(DIFFERENT, f"tensor {name} differs, which holds no embeddings")
    return Closeness(CLOSE if least >= COSINE else DIFFERENT, f"the least cosine of two embeddings is {least:.6f}")


def compare_losses(left: Mapping[int, float], right: Mapping[int, float]) -> Closeness:
    """Compare the losses of a training's first steps, by step."""
    steps = sorted(step for step in left if step <= EARLY_STEPS and step in right)
    if not steps or steps[0] != 1:
        return Closeness(UNDECIDABLE, "no losses of the first steps are on record on both sides")
    for step in steps:
        allowed = FIRST_LOSS if step == 1 else EARLY_LOSS
        gap = abs(left[step] - right[step]) / max(abs(left[step]), 1e-30)
        if not gap <= allowed:
            return Closeness(
                DIFFERENT,
                f"step {step}: the loss is {left[step]:.9g} and {right[step]:.9g}, {gap:.1g} apart where {allowed:g} "
                "is allowed between two kinds of machines",
            )
    return Closeness(CLOSE, f"the losses of steps 1 to {steps[-1]} are close; later ones say nothing on other machines")


def closeness(step: str, output: Mapping[str, Any], one: Path, other: Path, records: Iterable[Record]) -> Closeness:
    """Compare an output of class A/hw that two kinds of machines made; `records` are of the run that judged."""
    name = result_name(output["path"]) or ""
    if step.startswith("filter.detect_") and one.suffix == ".parquet":
        detector = name.split("/")[2] if name.count("/") >= 3 else ""
        return compare_scores(one, other, thresholds_of(records, detector))
    if step in ("evaluate.embed", "evaluate.apply_head"):
        return compare_embeddings(one, other)
    return Closeness(UNDECIDABLE, "between two kinds of machines no bytes are promised for it, and no closeness either")
