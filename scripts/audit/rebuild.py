"""Run recorded jobs again in another folder, under other circumstances, and compare what comes out.

After the idea of `nix-build --check`: time zone, locale, umask, hash seed, user, home, order of files, number of
threads and cores are all others than in the recorded run (`scripts/audit/variations.py`), and results must not show it.
Cheap jobs are all run, expensive ones by a sample; steps that ask the world outside are listed and left out.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from scripts.audit.classes import A_HW, ASKS_OUTSIDE, HARDWARE, D, class_of, machine_differences
from scripts.audit.closeness import closeness
from scripts.audit.commands import UndecidableError, recorded_threads
from scripts.audit.differences import first_difference
from scripts.audit.findings import DIFFERENT, NOT_CHECKED, SAME, UNDECIDABLE, Finding, verdict_line, write_findings
from scripts.audit.order import in_order, sealed_jobs
from scripts.audit.process import audit_parser, run_audit
from scripts.audit.rerun import Ended, check_code, lay_inputs, recorded_file, run_again
from scripts.audit.variations import VARIATIONS, vary
from scripts.lib.draws import rank
from scripts.lib.errors import UserError
from scripts.lib.records import RECORDS, Record, result_name

log = logging.getLogger(__name__)

LIMITS = (
    "Each job was run from its recorded inputs; that these are what their makers left is what `verify` shows.",
    "The clock, the kernel and the file system's kind were not varied on purpose.",
    "Jobs that are listed as not checked were not run.",
)


@dataclass
class Rebuild:
    """One audit: where the run lies and how its jobs are run again."""

    run: Path
    scratch: Path
    jobs: dict[str, Record]
    variations: Sequence[str]
    cheap_seconds: float
    cpu_seconds: float = 0.0
    kept: list[str] = field(default_factory=list)  # folders of jobs that differ

    def check(self, name: str) -> list[Finding]:
        """Run the job of the result `name` again and return what is to be said of its outputs."""
        record = self.jobs[name]
        try:
            check_code(record)
            ended = self._again(name, self.variations)
        except UndecidableError as reason:
            return [Finding("rebuild", UNDECIDABLE, name, f"{record['step']} was not run again: {reason}.")]
        found = [*self._compare(name, record, ended)]
        if any(each.verdict == DIFFERENT for each in found):
            self.kept.append(str(ended.folder))
        else:
            shutil.rmtree(ended.folder, ignore_errors=True)
        log.info("%s %s: %s", record["step"], name, ", ".join(sorted({each.verdict for each in found})))
        return found

    def _again(self, name: str, variations: Sequence[str], suffix: str = "") -> Ended:
        record, folder = self.jobs[name], self.scratch / f"{name.replace('/', '_')}{suffix}"
        folder.mkdir(parents=True)
        try:
            threads, of_hardware = recorded_threads(record), record["step"] in HARDWARE
            to = vary(record, folder, variations, threads, of_hardware=of_hardware)
            lay_inputs(record, self.run, folder, last_first=to.other_order)
            return run_again(record, self.run, to)
        except UndecidableError:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _likely_cause(self, name: str) -> str:
        """Return which variation shows in the outputs of a job, found by running it again with each alone."""
        record = self.jobs[name]
        if float(record["circumstances"]["cpu_seconds"]) > self.cheap_seconds:
            return f"One of these shows in the result: {', '.join(self.variations) or 'nothing was varied'}. "

        def differs(variations: Sequence[str]) -> bool:
            ended = self._again(name, variations, suffix="-alone")
            anew = ended.record(name)
            shutil.rmtree(ended.folder, ignore_errors=True)
            return ended.status != 0 or anew is None or _digests(anew) != _digests(record)

        if differs([]):
            return "With nothing varied it differs, too: a draw without a seed, the time, or a record not its own. "
        alone = [each for each in self.variations if differs([each])]
        return f"What shows in the result: {', '.join(alone)}. " if alone else "Only several variations together show. "

    def _compare(self, name: str, record: Record, ended: Ended) -> Iterator[Finding]:
        anew = ended.record(name)
        if ended.status or anew is None:
            said = f"it ended with status {ended.status}: {ended.said[-600:]}"
            cause = f"{self._likely_cause(name)}Or this machine lacks what the step needs."
            yield Finding("rebuild", DIFFERENT, name, f"{record['step']} cannot be repeated: {said}", cause)
            return
        self.cpu_seconds += float(anew["circumstances"]["cpu_seconds"])
        made = {each["path"]: each for each in anew["outputs"]}
        for output in record["outputs"]:
            yield self._judge(output, made[output["path"]], record, anew, ended.folder)

    def _judge(
        self, output: dict[str, Any], made: dict[str, Any], record: Record, anew: Record, folder: Path
    ) -> Finding:
        name = str(result_name(output["path"]))
        finding = partial(Finding, "rebuild", subject=name)
        kind = class_of(record["step"], output)
        if kind == D:
            said = f"{record['step']} declares {name} as varying (times, hosts): recorded, never compared."
            return finding(NOT_CHECKED, text=said, exempt=True)
        if made["sha256"] == output["sha256"]:
            return finding(SAME, text=f"{record['step']} made {name} again, bit for bit (class {kind}).")
        here, there = recorded_file(self.run, name, output["sha256"]), folder / output["path"]
        where = first_difference(here, there) if here else "the recorded file is not there to say where"
        machines = machine_differences(record, anew)
        if kind == A_HW and machines:
            if here is None:
                return finding(UNDECIDABLE, text=f"{name} has other bytes on another machine; {where}.")
            close = closeness(record["step"], output, here, there, self.jobs.values())
            cause = f"The machines differ in {'; '.join(machines)}: {HARDWARE[record['step']]}."
            return finding(close.verdict, text=f"{name} has other bytes on another machine: {close.text}.", cause=cause)
        if machines:
            cause = f"The machines differ in {'; '.join(machines)}, which must not show in a result of class {kind}. "
        else:
            cause = self._likely_cause(str(result_name(record["outputs"][0]["path"])))
        cause += f"What came out is {there}."
        return finding(DIFFERENT, text=f"{record['step']} made another {name} (class {kind}): {where}.", cause=cause)


def _digests(record: Record) -> list[str]:
    return [each["sha256"] for each in record["outputs"] if not each.get("varying")]


def left_out(jobs: dict[str, Record], sample: int, cheap_seconds: float, seed: int) -> dict[str, str]:
    """Return the jobs that are not run again, each with the reason.

    Args:
        jobs: first output → record.
        sample: how many expensive jobs of each step are run, drawn with `seed`.
        cheap_seconds: CPU time on record up to which a job is always run.
        seed: of the draw.
    """
    found: dict[str, str] = {}
    expensive: dict[str, list[str]] = {}
    for name, record in jobs.items():
        step = str(record["step"])
        if step in ASKS_OUTSIDE:
            found[name] = f"{step} asks outside: {ASKS_OUTSIDE[step]}"
        elif all(each.get("varying") for each in record["outputs"]):
            found[name] = f"all that {step} leaves is declared as varying"
        elif float(record.get("circumstances", {}).get("cpu_seconds", 0)) > cheap_seconds:
            expensive.setdefault(step, []).append(name)
    for step, names in expensive.items():
        drawn = sorted(names, key=lambda name: rank(seed, "rebuild sample", name))
        for name in drawn[sample:]:
            found[name] = (
                f"took more than {cheap_seconds:g} CPU-seconds, and is not among the {min(sample, len(names))} of "
                f"{len(names)} such jobs of {step} that were drawn (seed {seed})"
            )
    return found


def rebuild(audit: Rebuild, skipped: dict[str, str], parallel: int) -> list[Finding]:
    """Run all jobs that are not `skipped`; return the findings in the order of the workflow."""
    order = in_order(audit.jobs)
    with ThreadPoolExecutor(parallel) as pool:
        running = {name: pool.submit(audit.check, name) for name in order if name not in skipped}
        return [
            finding
            for name in order
            for finding in (
                running[name].result()
                if name in running
                else [Finding("rebuild", NOT_CHECKED, name, f"{name}: {skipped[name]}.", exempt=True)]
            )
        ]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the audit."""
    parser = audit_parser(__doc__)
    parser.add_argument("--steps", nargs="*", default=[], help="only these, e.g. filter.judge; none: all")
    parser.add_argument("--sample", type=int, default=1, help="expensive jobs of each step to run")
    parser.add_argument("--cheap-seconds", type=float, default=120, help="CPU time up to which a job is always run")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--vary", nargs="*", default=[*VARIATIONS], choices=[*VARIATIONS], help="what to vary")
    parser.add_argument("--parallel", type=int, default=1, help="jobs at a time")
    parser.add_argument("--scratch", type=Path, help="folder to work in; none: a temporary one")
    flags = parser.parse_args(argv)
    jobs = {
        name: record
        for name, record in sealed_jobs(flags.run / RECORDS).items()
        if not flags.steps or record["step"] in flags.steps
    }
    if not jobs:
        raise UserError(f"no record of {' or '.join(flags.steps) or 'a job'} under {flags.run / RECORDS}: name the "
                        "folder in which the workflow ran with --run")  # fmt: skip
    skipped = left_out(jobs, flags.sample, flags.cheap_seconds, flags.seed)
    scratch = Path(tempfile.mkdtemp(prefix="rebuild-", dir=flags.scratch))
    audit = Rebuild(flags.run.absolute(), scratch, jobs, flags.vary, flags.cheap_seconds)
    findings = rebuild(audit, skipped, flags.parallel)
    if not audit.kept:
        shutil.rmtree(scratch, ignore_errors=True)
    ran = [name for name in jobs if name not in skipped]
    facts: dict[str, Any] = {
        "jobs on record": len(jobs),
        "jobs run again": len(ran),
        "varied": list(flags.vary),
        "CPU-seconds on record": round(sum(float(jobs[name]["circumstances"]["cpu_seconds"]) for name in ran), 1),
        "CPU-seconds again": round(audit.cpu_seconds, 1),
        "left out by step": dict(sorted(Counter(str(jobs[name]["step"]) for name in skipped).items())),
        "kept to look at": sorted(audit.kept),
    }
    log.info("%s", verdict_line(findings))
    return write_findings(flags.report, "rebuild", findings, facts, LIMITS)


if __name__ == "__main__":
    run_audit(main)
