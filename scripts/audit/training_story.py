"""Do a training's trace, its metrics and its settings tell one story?"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator

from scripts.audit.audited_tables import UnreadableError, checked
from scripts.audit.findings import NOT_CHECKED, Finding
from scripts.audit.run_folder import RunFolder, output_of
from scripts.lib.records import Record

CHECK = "traces"
_DIGEST = re.compile(r"[0-9a-f]{64}")


def check_traces(run: RunFolder) -> Iterator[Finding]:
    """Yield a finding for each training."""
    trainings = list(run.of_step("pretrain.train"))
    if not trainings:
        yield Finding(CHECK, NOT_CHECKED, "results/pretrain", "This run trained nothing.", exempt=True)
    for _, record in trainings:
        path = output_of(record, "trace")
        yield from checked(
            CHECK,
            path,
            lambda record=record: _judge(run, record),  # type: ignore[misc]
            lambda: "Steps rise to the last one, digests are whole; where each step has its metrics, losses are those.",
        )


def _judge(run: RunFolder, record: Record) -> Iterator[str]:
    path, other = output_of(record, "trace"), output_of(record, "metrics")
    rows, metrics = _rows(run, path), _rows(run, other)
    steps = [int(row["step"]) for row in rows]
    if not rows or steps != sorted(set(steps)):
        yield f"The steps of {path} do not rise: {steps[:10]}."
        return
    digests = ("images", "module", "optimizer")
    if bad := [row for row in rows if not all(_DIGEST.fullmatch(row[name]) for name in digests)]:
        yield f"{path} has no whole digest at step {bad[0]['step']}."
    losses = {int(row["step"]): float(row["loss"]) for row in metrics}
    if steps[-1] != max(losses, default=0):
        yield f"{path} ends at step {steps[-1]}, and {other} at step {max(losses, default=0)}."
    if len(losses) < steps[-1]:
        return  # a long run's metrics are means over several steps, not the loss of one
    for row in rows:
        loss, told = float.fromhex(row["loss"]), losses.get(int(row["step"]))
        if told is not None and abs(loss - told) > 1e-4 * max(1.0, abs(loss)):
            yield f"At step {row['step']} the loss is {loss:.6g} in {path} and {told:.6g} in {other}."
            return


def _rows(run: RunFolder, path: str) -> list[dict[str, str]]:
    if path in run.broken:
        raise UnreadableError(f"{path} is not what its job left, so nothing in it is believed")
    try:
        with run.path(path).open(encoding="utf-8", newline="") as lines:
            return list(csv.DictReader(lines))
    except (OSError, ValueError) as error:
        raise UnreadableError(f"{path} cannot be read ({error})") from None
