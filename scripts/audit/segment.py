"""Train a part of a recorded run again, from one checkpoint to a later one, and compare its trace step by step.

A run that was started with UNPEOPLED_KEEP_CHECKPOINTS=n keeps the checkpoint of each n-th epoch; any part between two
of them can be trained again. Where none is kept, the part from the start to the first rows of the trace is. On the kind
of machine that trained the run, every bit must be the same; on another, the losses of the first 8 steps must be close,
and more cannot be decided. f of s parts trained again find a run with m wrong ones with probability 1 - (1 - f/s)^m.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torchvision

from scripts.audit.classes import machine_differences
from scripts.audit.closeness import EARLY_STEPS
from scripts.audit.commands import UndecidableError, recorded_threads
from scripts.audit.findings import DIFFERENT, SAME, UNDECIDABLE, Finding, verdict_line, write_findings
from scripts.audit.order import in_order, sealed_jobs
from scripts.audit.process import audit_parser, run_audit
from scripts.audit.rerun import check_code, lay_inputs, recorded_file, run_again
from scripts.audit.traces import Row, Segment, first_other_row, judge_early, read_trace, segments
from scripts.audit.variations import vary
from scripts.lib.checkpoints import KEPT, LAST, content_digest
from scripts.lib.circumstances import hardware
from scripts.lib.draws import rank
from scripts.lib.errors import UserError
from scripts.lib.records import RECORDS, Record, result_name

log = logging.getLogger(__name__)

STEP = "pretrain.train"
LIMITS = (
    "Only the parts that are listed were trained again.",
    "Steps between two rows of the trace are covered by the digests of the later row alone.",
)


def checkpoint_problem(path: Path, row: Row) -> str:
    """Return why a kept checkpoint is not the state that the trace's `row` speaks of; "" when it is."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)["state"]
        digests = {"module": content_digest(state["module"]), "optimizer": content_digest(state["optimizer"])}
    except Exception as error:  # noqa: BLE001 (a damaged file raises anything; that is the finding)
        return f"it cannot be read ({type(error).__name__})"
    wrong = [name for name, digest in digests.items() if digest != row[name]]
    return f"its {' and '.join(wrong)} are not those of the trace" if wrong else ""


def here(record: Record) -> Record:
    """Return what a record made on this machine would say of it, as far as it decides about bits."""
    if torch.cuda.is_available():
        torch.zeros(1, device="cuda")  # the key names the GPUs that a process has used
    versions = {"torch": torch.__version__, "torchvision": torchvision.__version__}
    return {"circumstances": {"hardware": hardware(recorded_threads(record)), "packages": versions}}


@dataclass(frozen=True)
class Audit:
    """A recorded run, and where it is trained again."""

    run: Path
    scratch: Path
    record: Record
    name: str  # of the first output

    @property
    def folder(self) -> str:
        """Return the folder of the run's results, relative to the run's folder."""
        return Path(self.record["outputs"][0]["path"]).parent.as_posix()

    def trace(self) -> list[Row]:
        """Return the rows of the trace on record.

        Raises:
            UndecidableError: it is not there, or not as recorded.
        """
        output = next((each for each in self.record["outputs"] if each["flag"] == "trace"), None)
        path = output and recorded_file(self.run, str(result_name(output["path"])), output["sha256"])
        if not path:
            raise UndecidableError("its trace.csv is lost or not what was recorded; `verify` says more")
        return read_trace(path)

    def kept(self) -> list[Path]:
        """Return the checkpoints that were kept for an audit."""
        return sorted((self.run / self.folder / KEPT).glob("*.ckpt"))

    def repeat(self, segment: Segment) -> list[Row]:
        """Train `segment` again and return the rows of its trace.

        Raises:
            UndecidableError: it cannot be trained here.
        """
        folder = self.scratch / f"{self.record['values']['recipe']['run']['name']}-{segment.start}-{segment.end}"
        place = folder / self.folder
        place.mkdir(parents=True)
        to = vary(self.record, folder, [], recorded_threads(self.record), of_hardware=True)
        lay_inputs(self.record, self.run, folder)
        if segment.checkpoint is not None:
            shutil.copyfile(segment.checkpoint, place / LAST)
        ended = run_again(self.record, self.run, to, stop_after=segment.end)
        try:
            if [*place.glob("*.set-aside"), *place.glob("*.damaged")]:
                raise UndecidableError("the kept checkpoint is of other settings, code, images or torch than are here")
            if (place / "trace.csv").is_file():  # the end of the run
                return read_trace(place / "trace.csv")
            if not (place / LAST).is_file():
                raise UndecidableError(f"it cannot be trained here: {ended.said[-600:]}")
            state = torch.load(place / LAST, map_location="cpu", weights_only=True)["state"]
            names = ("step", "epoch", "loss", "images", "module", "optimizer")
            return [dict(zip(names, row, strict=True)) for row in state["records"]["trace"]]
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def check(self, segment: Segment, recorded: Sequence[Row]) -> Finding:
        """Train `segment` again and return what is to be said of it."""
        finding = partial(Finding, "segment", subject=f"{self.folder} steps {segment.start + 1}-{segment.end}")
        if segment.checkpoint is not None:
            row = next(row for row in recorded if int(row["step"]) == segment.start)
            if problem := checkpoint_problem(segment.checkpoint, row):
                text = f"{self.folder}/{KEPT}/{segment.checkpoint.name} is not the state after step {segment.start}: "
                return finding(DIFFERENT, text=f"{text}{problem}.", cause="The checkpoint or the trace was changed.")
        try:
            check_code(self.record)
            again = self.repeat(segment)
        except UndecidableError as reason:
            return finding(UNDECIDABLE, text=f"Steps up to {segment.end} were not repeated: {reason}.")
        found = first_other_row(recorded, again, segment)
        if found is None:
            return finding(SAME, text=f"Steps {segment.start + 1} to {segment.end} repeat bit for bit.")
        return self._judge(found, recorded, again, segment, finding)

    def _judge(
        self,
        found: tuple[int, str],
        recorded: Sequence[Row],
        again: Sequence[Row],
        segment: Segment,
        finding: Callable[..., Finding],
    ) -> Finding:
        (step, difference), trace = found, f"{self.folder}/trace.csv"
        machines = machine_differences(self.record, here(self.record))
        if not machines:
            cause = "The trace was changed afterwards, or another code or machine than the recorded one trained this."
            return finding(DIFFERENT, text=f"{trace}: the first step to differ is {step}: {difference}.", cause=cause)
        cause = f"The machines differ in {'; '.join(machines)}."
        if segment.start:
            text = f"{trace}: step {step} has other bits on another kind of machine, and steps after the first "
            return finding(UNDECIDABLE, text=f"{text}{EARLY_STEPS} of a run say nothing there.", cause=cause)
        close = judge_early(recorded, again)
        return finding(close.verdict, text=f"{trace}: {close.text}.", cause=cause)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the audit."""
    parser = audit_parser(__doc__)
    parser.add_argument("--runs", nargs="*", default=[], help="names of pretraining runs; none: all on record")
    parser.add_argument("--segments", type=int, default=1, help="parts of each run, drawn with --seed")
    parser.add_argument("--starts", nargs="*", type=int, default=[], help="only parts after these steps; none: any")
    parser.add_argument("--steps", type=int, default=EARLY_STEPS, help="of a part that no kept checkpoint ends")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--scratch", type=Path, help="folder to work in; none: a temporary one")
    flags = parser.parse_args(argv)
    jobs = sealed_jobs(flags.run / RECORDS)
    chosen = [name for name in in_order(jobs) if jobs[name]["step"] == STEP and _is_of(jobs[name], flags.runs)]
    if not chosen:
        raise UserError(
            f"no record of {' or '.join(flags.runs) or 'a training'} under {flags.run / RECORDS}: name the folder in "
            "which the workflow ran with --run"
        )
    scratch = Path(tempfile.mkdtemp(prefix="segment-", dir=flags.scratch))
    findings: list[Finding] = []
    facts: dict[str, Any] = {}
    for name in chosen:
        audit = Audit(flags.run.absolute(), scratch, jobs[name], name)
        try:
            recorded = audit.trace()
        except UndecidableError as reason:
            findings.append(Finding("segment", UNDECIDABLE, audit.folder, f"{audit.folder}: {reason}."))
            continue
        parts = segments(recorded, audit.kept(), flags.steps)
        parts = [part for part in parts if not flags.starts or part.start in flags.starts]
        drawn = sorted(parts, key=lambda part: rank(flags.seed, "segment", f"{name} {part.start}"))[: flags.segments]
        facts[f"parts of {audit.folder}"] = f"{len(drawn)} of {len(parts)} (checkpoints kept: {len(audit.kept())})"
        findings += [audit.check(part, recorded) for part in sorted(drawn, key=lambda part: part.start)]
    shutil.rmtree(scratch, ignore_errors=True)
    log.info("%s", verdict_line(findings))
    return write_findings(flags.report, "segment", findings, facts, LIMITS)


def _is_of(record: Record, runs: Sequence[str]) -> bool:
    return not runs or record["values"]["recipe"]["run"]["name"] in runs


if __name__ == "__main__":
    run_audit(main)
