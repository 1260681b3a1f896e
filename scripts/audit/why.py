"""Say in one line for each job why it would run, against what was recorded when it ran last.

Reads the plan (Snakemake, every job forced), the records and the disk; starts and changes nothing. A job below one that
runs is named as such: it starts, and computes only if a table above it really comes out different
(docs/reruns.md). With `--names` the first results of the jobs that have a reason of their own are all that is printed,
for `snakemake --forcerun $(...)` where Snakemake's own memory (.snakemake) was lost.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from scripts.audit.expected import differences
from scripts.audit.planned import PlannedJob, planned_jobs
from scripts.lib.files import sha256_file
from scripts.lib.fingerprint import ROOT
from scripts.lib.records import Record, read_record, result_name
from scripts.lib.step import run_step, step_parser

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reason:
    """Why one job would run."""

    job: PlannedJob
    texts: tuple[str, ...]  # reasons of its own
    above: tuple[str, ...]  # jobs that run before it and that it reads from

    @property
    def line(self) -> str:
        """Return the reason in one line."""
        below = f"below {', '.join(self.above[:3])}{' and others' if len(self.above) > 3 else ''}"
        return f"{label(self.job)}: {'; '.join(self.texts) or below + ': computed if their results change'}"


def label(job: PlannedJob) -> str:
    """Return a job's rule with its wildcards, e.g. `judge 0`."""
    return " ".join([job.rule, *job.wildcards.values()])


def in_order(jobs: Sequence[PlannedJob]) -> list[PlannedJob]:
    """Return `jobs` with each after those whose outputs it reads."""
    makers = {path: job for job in jobs for path in job.outputs}
    placed: dict[tuple[str, ...], PlannedJob] = {}

    def place(job: PlannedJob) -> None:
        waiting = [(job, iter(sorted(set(job.inputs))))]
        while waiting:  # no recursion: a chain of jobs may be long
            each, inputs = waiting[-1]
            following = next((makers[path] for path in inputs if path in makers), None)
            if following is None:
                placed.setdefault(each.outputs, each)
                waiting.pop()
            elif following.outputs not in placed:
                waiting.append((following, iter(sorted(set(following.inputs)))))

    for job in jobs:
        place(job)
    return list(placed.values())


def reasons(jobs: Sequence[PlannedJob]) -> list[Reason]:
    """Return the jobs that would run, in the order in which they would, with their reasons."""
    running: dict[str, str] = {}  # output → label of a job that runs
    found = []
    for job in in_order(jobs):
        texts = tuple(own_reasons(job))
        above = tuple(dict.fromkeys(running[path] for path in job.inputs if path in running))
        if texts or above:
            running.update(dict.fromkeys(job.outputs, label(job)))
            found.append(Reason(job, texts, above))
    return found


def own_reasons(job: PlannedJob) -> Iterator[str]:
    """Yield why a job would run whatever the others do."""
    missing = [path for path in job.outputs if not Path(path).exists()]
    names = [name for path in job.outputs if (name := result_name(path))]
    record = read_record(names[0]) if names else None
    if len(missing) == len(job.outputs) and record is None:
        yield "it has not run"
        return
    if missing:
        yield f"{', '.join(missing)} is missing"
    if record is None:
        yield "its results have no record: it was killed, or ran without --code"
        return
    yield from (f"{each.kind}: {each.text}" for each in differences(job, record))
    yield from stale_inputs(record)


def stale_inputs(record: Record) -> Iterator[str]:
    """Yield which inputs of a recorded job are other ones now."""
    started = datetime.fromisoformat(record["circumstances"]["started"]).timestamp()
    for each in record["inputs"]:
        path, name = Path(each["path"]), result_name(each["path"])
        if name is not None:
            maker = read_record(name)
            left: Mapping[str, object] = next(
                (out for out in (maker or {"outputs": []})["outputs"] if result_name(out["path"]) == name), {}
            )
            if left and left["sha256"] != each["sha256"]:
                yield f"inputs: {path} was made again since, and is another"
        elif path.is_file() and "bytes" in each:
            found = path.stat()
            written = max(found.st_mtime, found.st_ctime) >= started
            if found.st_size != each["bytes"] or (written and sha256_file(path) != each["sha256"]):
                yield f"inputs: {path} is another file than the one that was read"


def main(argv: Sequence[str] | None = None) -> None:
    """Explain from the command line."""
    parser = step_parser(__doc__)
    parser.add_argument("targets", nargs="*", help="files or rules; none: all")
    parser.add_argument("--configfile", nargs="*", type=Path, default=[], help="scales over config.yaml")
    parser.add_argument("--config", default="{}", help="JSON of a configuration over these")
    parser.add_argument("--names", action="store_true", help="print only results to force")
    flags = parser.parse_args(argv)
    config = json.loads(flags.config)
    jobs = planned_jobs(ROOT / "Snakefile", Path(), configfiles=flags.configfile, config=config, targets=flags.targets)
    found = reasons(jobs)
    if flags.names:
        print(" ".join(each.job.outputs[0] for each in found if each.texts))
        return
    print("\n".join(each.line for each in found) or "nothing would run")
    own = sum(bool(each.texts) for each in found)
    print(f"{own} jobs have a reason, {len(found) - own} lie below them, {len(jobs) - len(found)} stay as they are")


if __name__ == "__main__":
    run_step(main)
