"""Test the audit on a copy of a run: plant faults and demand that `verify` names each, do harmless things and demand
that it names none, flip single bits and demand that each is found.

A fault counts as caught when there is a finding of the check that is meant for it, on the file in which it is, with a
cause that fits. Nothing outside the copy is written but the report; the copy is removed.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from scripts.audit import integrity
from scripts.audit.benign_acts import ACTS, Act
from scripts.audit.copied_run import CopiedRun
from scripts.audit.faults import FILE_FAULTS, Expected, Fault
from scripts.audit.faults_content import CONTENT_FAULTS
from scripts.audit.faults_plan import PLAN_FAULTS
from scripts.audit.findings import (
    DIFFERENT,
    NOT_CHECKED,
    SAME,
    UNDECIDABLE,
    Finding,
    exit_code,
    verdict_line,
    write_findings,
)
from scripts.audit.planned import planned_jobs
from scripts.audit.process import audit_parser, run_audit
from scripts.audit.run_folder import subject
from scripts.lib.draws import derived_seed
from scripts.lib.fingerprint import ROOT

FAULTS = (*FILE_FAULTS, *PLAN_FAULTS, *CONTENT_FAULTS)
LIMITS = (
    "Faults of kinds that are not planted, and two faults that hide each other.",
    "The checks of other commands: `rebuild`, `segment`, `compare`, `publish`.",
)


def draw_of(seed: int, purpose: str, number: int) -> random.Random:
    """Return the draws of one planting."""
    return random.Random(derived_seed(seed, "selftest", purpose, number))  # noqa: S311 (repeatable, no secret)


def plant(copy: CopiedRun, fault: Fault, draw: random.Random) -> tuple[Expected | None, list[Finding]]:
    """Plant a fault, verify, take it away; return what had to be said and what was."""
    try:
        expected = fault(copy, draw)
        return expected, copy.verify() if expected else []
    finally:
        copy.undo()


def caught(expected: Expected, found: Sequence[Finding]) -> Finding | None:
    """Return the finding that names the fault, None when there is none."""
    for finding in found:
        meant = finding.check in expected.checks and finding.subject in expected.subjects
        wrong = finding.verdict in (DIFFERENT, UNDECIDABLE) and not finding.inherited
        told = expected.words.lower() in f"{finding.text} {finding.cause}".lower()
        if meant and wrong and told and finding.cause:
            return finding
    return None


def try_faults(copy: CopiedRun, faults: Sequence[Fault], places: int, seed: int) -> Iterator[Finding]:
    """Yield a finding for each planting."""
    for fault in faults:
        for number in range(places):
            expected, found = plant(copy, fault, draw_of(seed, fault.__name__, number))
            name = f"{fault.__name__} {number + 1}"
            if expected is None:
                yield Finding("faults", NOT_CHECKED, name, f"{_what(fault)} This run has no place for it.", exempt=True)
                continue
            at = expected.subjects[0]
            told = caught(expected, found)
            if told is not None:
                yield Finding("faults", SAME, name, f"{_what(fault)} In {at}; verify: {told.text}", told.cause)
            else:
                named = [each.text for each in found if each.verdict == DIFFERENT]
                yield Finding(
                    "faults", DIFFERENT, name, f"{_what(fault)} In {at}, and verify does not name it.",
                    f"It says: {' '.join(named[:3]) or 'nothing'}",
                )  # fmt: skip


def try_acts(copy: CopiedRun, acts: Sequence[Act], times: int, seed: int) -> Iterator[Finding]:
    """Yield a finding for each harmless act."""
    for act in acts:
        for number in range(times):
            try:
                act(copy, draw_of(seed, act.__name__, number))
                found = copy.verify()
            finally:
                copy.undo()
            alarms = [each for each in found if exit_code([each]) != 0 and not each.exempt]
            name = f"{act.__name__} {number + 1}"
            if alarms:
                yield Finding(
                    "harmless acts", DIFFERENT, name, f"{_what(act)} A false alarm: {alarms[0].text}",
                    f"{len(alarms)} in all.",
                )  # fmt: skip
            else:
                yield Finding("harmless acts", SAME, name, f"{_what(act)} verify names nothing.")


def try_flips(copy: CopiedRun, flips: int, seed: int) -> Iterator[Finding]:
    """Yield a finding for each file in which bits were flipped, one bit of a file at a time.

    Bits of many files are flipped before one look at all files, and each has to be found in its own file; no other file
    may be named.
    """
    names = sorted(name for name in copy.read().makers if (copy.folder / "results" / name).stat().st_size)
    tried, found, alarms = Counter[str](), Counter[str](), set[str]()
    done = 0
    while done < flips:
        draw = draw_of(seed, "bit flips", done)
        chosen = draw.sample(names, min(len(names), flips - done))
        done += len(chosen)
        try:
            for name in chosen:
                content = bytearray(copy.bytes_of(subject(name)))
                content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
                copy.write(subject(name), bytes(content), keep_times=True)
            named = {each.subject for each in integrity.check_integrity(copy.read()) if each.verdict == DIFFERENT}
        finally:
            copy.undo()
        tried.update(chosen)
        found.update(name for name in chosen if subject(name) in named)
        alarms |= named - {subject(name) for name in chosen}
    for name, number in sorted(tried.items()):
        good = found[name] == number and subject(name) not in alarms
        yield Finding(
            "bit flips", SAME if good else DIFFERENT, subject(name),
            f"{found[name]} of {number} flipped bits were found.", "" if good else "A bit that nobody notices.",
        )  # fmt: skip


def _what(kind: Fault | Act) -> str:
    return (kind.__doc__ or kind.__name__).strip().splitlines()[0]


def summary(findings: Sequence[Finding], flips: int) -> dict[str, str]:
    """Return what the head of the report says."""

    def count(check: str) -> str:
        mine = [each for each in findings if each.check == check and each.verdict in (SAME, DIFFERENT)]
        return f"{sum(each.verdict == SAME for each in mine)} of {len(mine)}"

    kinds = {each.subject.split()[0] for each in findings if each.check == "faults" and each.verdict == SAME}
    missed = sum(each.verdict == DIFFERENT for each in findings if each.check == "bit flips")
    return {
        "planted faults named": f"{count('faults')}, of {len(kinds)} kinds",
        "harmless acts without an alarm": count("harmless acts"),
        "single flipped bits": f"{flips} in {len([1 for each in findings if each.check == 'bit flips'])} files, "
        f"{missed} files in which one was missed",
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the status is that of the findings."""
    parser = audit_parser(__doc__)
    parser.add_argument("--configfile", nargs="*", default=[], type=Path, help="over config.yaml, as for snakemake")
    parser.add_argument("--config", default="", help="JSON of values over these")
    parser.add_argument("--targets", nargs="*", default=[], help="what the run was asked for; empty: all")
    parser.add_argument("--checkout", type=Path, default=ROOT, help="the code that made the run")
    parser.add_argument("--places", type=int, default=5, help="plantings of each kind of fault")
    parser.add_argument("--times", type=int, default=2, help="repetitions of each harmless act")
    parser.add_argument("--flips", type=int, default=500, help="single bits that are flipped")
    parser.add_argument("--seed", type=int, default=0, help="of all draws")
    flags = parser.parse_args(argv)
    config = json.loads(flags.config) if flags.config else {}
    plan = planned_jobs(
        flags.checkout / "Snakefile", flags.run, configfiles=flags.configfile, config=config, targets=flags.targets
    )
    with tempfile.TemporaryDirectory(prefix="selftest-") as scratch:
        copy = CopiedRun.make(flags.run, Path(scratch) / "run", flags.checkout.resolve(), plan)
        before = [each for each in copy.verify() if exit_code([each]) != 0 and not each.exempt]
        if before:
            findings = [
                Finding(
                    "clean run",
                    UNDECIDABLE,
                    before[0].subject,
                    f"The run does not verify as it is: {before[0].text}",
                    "Faults can be planted only in a run that is in order.",
                )
            ]
        else:
            findings = [
                *try_faults(copy, FAULTS, flags.places, flags.seed),
                *try_acts(copy, ACTS, flags.times, flags.seed),
                *try_flips(copy, flags.flips, flags.seed),
            ]
    report = flags.report if flags.report.is_absolute() else flags.run / flags.report
    facts = summary(findings, flags.flips)
    status = write_findings(report, "selftest", findings, facts, LIMITS)
    for name, text in facts.items():
        print(f"{name}: {text}")
    print(verdict_line(findings))
    return status


if __name__ == "__main__":
    run_audit(main)
