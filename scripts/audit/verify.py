"""Verify a run where it lies: nothing is run, and nothing is changed but the report.

Looked at, in this order: the records themselves, the bytes of every recorded result, files without a record, whether
each job rests on what is there, data from outside, the seal, the code, the configuration, the circumstances, the traces
of trainings; then, from the tables and not from anybody's figures, whether each row is accounted for, whether the
shards hold what was selected, and the evidence for licence and for the absence of people of each kept image.

Needs no Snakemake, but for the comparison with the configuration. docs/audit.md says what it proves and what not.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from scripts.audit import (
    circumstances_then,
    code_drift,
    configuration,
    evidence,
    integrity,
    lineage,
    row_account,
    shard_contents,
    training_story,
)
from scripts.audit.findings import NOT_CHECKED, SAME, UNDECIDABLE, Finding, verdict_line, write_findings
from scripts.audit.planned import planned_jobs
from scripts.audit.process import audit_parser, run_audit
from scripts.audit.run_folder import RunFolder
from scripts.lib import records
from scripts.lib.errors import UserError
from scripts.lib.fingerprint import ROOT

CONFIGURATION = configuration.CHECK
LEAVABLE = (
    integrity.CHECK,
    integrity.STRAYS,
    lineage.SOURCES,
    code_drift.CHECK,
    CONFIGURATION,
    training_story.CHECK,
    row_account.CHECK,
    shard_contents.CHECK,
    evidence.CHECK,
)
HERITABLE = (lineage.CHECK, code_drift.CHECK, CONFIGURATION)
LIMITS = (
    "Whether running a step again gives the same bytes: `rebuild` does that for cheap steps and samples of dear ones, "
    "`segment` for training.",
    "Whether the records themselves were forged together with the results: whoever can write both can make a run that "
    "verifies. A seal that was published before (--recorded-seal) shows it.",
    "What the sources say: that the licence a source states is the photographer's, or that the detectors miss nobody. "
    "results/filter/measure_leak_rate.json bounds the latter.",
    "Machine, time and software of a job are what its record says: nothing binds them to the results.",
)


def planned_findings(
    run: RunFolder, checkout: Path, configfiles: Sequence[Path], config: dict[str, Any], targets: Sequence[str]
) -> Iterator[Finding]:
    """Yield the comparison with the configuration, or why there is none."""
    if importlib.util.find_spec("snakemake") is None:
        yield Finding(
            CONFIGURATION, NOT_CHECKED, "config.yaml", "There is no Snakemake here to say what is planned.",
            "Install requirements.lock, or leave this check out (--leave-out configuration).",
        )  # fmt: skip
        return
    try:
        planned = planned_jobs(
            checkout / "Snakefile", run.folder, configfiles=configfiles, config=config, targets=targets
        )
    except UserError as error:
        yield Finding(
            CONFIGURATION, UNDECIDABLE, "config.yaml", f"{error}"[:1000], "Give the configuration that the run had."
        )
        return
    yield from configuration.check_configuration(run, planned)


def in_order(run: RunFolder, findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings in the order of the workflow; what is of no job stays in front, in its order."""
    place = {name: index for index, name in enumerate(run.jobs)}

    def position(finding: Finding) -> int:
        name = finding.subject.removeprefix("results/")
        name = name.removeprefix("records/kept/").removeprefix("records/").removesuffix(".json")
        maker = run.makers.get(finding.subject.removeprefix("results/"), run.makers.get(name, name))
        return place.get(maker, -1)

    return sorted(findings, key=position)


def verify(
    folder: Path,
    left_out: Sequence[str],
    planned: Callable[[RunFolder], Iterable[Finding]],
    checkout: Path,
    seal: str,
    *,
    most_bytes: float = shard_contents.MOST_BYTES,
) -> tuple[list[Finding], dict[str, Any]]:
    """Return all findings in the order of the workflow, and what the report says of the run.

    Args:
        folder: with results/ and records/.
        left_out: names of checks.
        planned: gives the comparison with the configuration.
        checkout: the code to compare with.
        seal: a published one to compare with, "" for none.
        most_bytes: of shards, up to which every picture is hashed.
    """
    run = RunFolder.read(folder)
    identities = {name: records.identity(record) for name, record in run.jobs.items()}
    sealed = _seal_file(folder / records.RECORDS / "seal.json")
    checks: dict[str, Callable[[], Iterable[Finding]]] = {
        integrity.RECORDS_CHECK: lambda: integrity.check_records(run, identities),
        integrity.CHECK: lambda: integrity.check_integrity(run),
        integrity.STRAYS: lambda: integrity.check_strays(run),
        lineage.CHECK: lambda: lineage.check_lineage(run),
        lineage.SOURCES: lambda: lineage.check_sources(run),
        lineage.SEAL: lambda: lineage.check_seal(run, sealed, seal),
        code_drift.CHECK: lambda: code_drift.check_code(run, checkout),
        CONFIGURATION: lambda: planned(run),
        circumstances_then.CHECK: lambda: circumstances_then.check_circumstances(run, checkout),
        training_story.CHECK: lambda: training_story.check_traces(run),
    }
    content: dict[str, Callable[[], Iterable[Finding]]] = {
        row_account.CHECK: lambda: row_account.check_rows(run),
        shard_contents.CHECK: lambda: shard_contents.check_shards(run, most_bytes),
        evidence.CHECK: lambda: evidence.check_evidence(run),
    }
    bound: list[Finding] = []
    for name, check in checks.items():
        bound += _asked(name, check, left_out)
        run.broken |= {each.subject for each in bound if each.check == integrity.CHECK and each.verdict != SAME}
    found = [_inherit(each, run.broken) for each in lineage.with_heirs(run, bound, HERITABLE)]
    for name, check in content.items():
        found += [_inherit(each, run.broken) for each in _asked(name, check, left_out)]
    facts = {
        "seal": str(sealed["seal"]) if sealed else "none: the run was not sealed",
        "compared with the seal": seal or "none was given",
        "jobs": f"{len(run.jobs):,}",
        "results": f"{len(run.makers):,} files, {_bytes(run):,} bytes",
        "left out on request": ", ".join(left_out) or "nothing",
    }
    return in_order(run, found), facts


def _asked(name: str, check: Callable[[], Iterable[Finding]], left_out: Sequence[str]) -> Iterable[Finding]:
    if name in left_out:
        return [Finding(name, NOT_CHECKED, name, f"{name} was left out on request (--leave-out).", exempt=True)]
    return check()


def _inherit(finding: Finding, broken: set[str]) -> Finding:
    """Return a finding on what tables say as one that follows from the changed bytes of such a table, if it does."""
    if finding.verdict != UNDECIDABLE or finding.check == integrity.CHECK:
        return finding
    return replace(finding, inherited=next((each for each in sorted(broken) if f"{each} " in finding.text), ""))


def _seal_file(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("targets"), list) and "seal" in found else None


def _bytes(run: RunFolder) -> int:
    return sum(each["bytes"] for record in run.jobs.values() for each in record["outputs"])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the status is that of the findings."""
    parser = audit_parser(__doc__)
    parser.add_argument("--configfile", nargs="*", default=[], type=Path, help="over config.yaml, as for snakemake")
    parser.add_argument(
        "--config", default="", help="JSON of values over these; the rule gives the whole configuration"
    )
    parser.add_argument("--targets", nargs="*", default=[], help="what the run was asked for; empty: all")
    parser.add_argument("--checkout", type=Path, default=ROOT, help="the code to compare with")
    parser.add_argument("--recorded-seal", default="", help="the seal that was published; empty: none")
    parser.add_argument("--leave-out", nargs="*", default=[], choices=LEAVABLE, help="checks that are not wanted")
    parser.add_argument("--every-picture", action="store_true", help="hash each picture also of shards above 20 GB")
    flags = parser.parse_args(argv)
    config = json.loads(flags.config) if flags.config else {}
    findings, facts = verify(
        flags.run,
        flags.leave_out,
        lambda run: planned_findings(run, flags.checkout, flags.configfile, config, flags.targets),
        flags.checkout,
        flags.recorded_seal,
        most_bytes=float("inf") if flags.every_picture else shard_contents.MOST_BYTES,
    )
    report = flags.report if flags.report.is_absolute() else flags.run / flags.report
    status = write_findings(report, "verify", findings, facts, LIMITS)
    print(verdict_line(findings))
    print(f"{report / 'verify.html'}")
    return status


if __name__ == "__main__":
    run_audit(main)
