"""What an audit found, and its report three times: JSON for programs, JUnit for build servers, HTML to read.

A finding is one sentence on one file or job with one of six verdicts. What could not be decided is never counted as
good: the process that audited ends with 2 then, unless the finding is exempt by a rule that the report names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from scripts.audit.findings_page import render_page
from scripts.lib.files import write_bytes, write_json, write_text
from scripts.lib.plain_text import printable

FORMAT = 1
SAME, CLOSE, CONSISTENT = "same", "close", "consistent"
DIFFERENT, UNDECIDABLE, NOT_CHECKED = "different", "undecidable", "not_checked"
VERDICTS = (SAME, CLOSE, CONSISTENT, DIFFERENT, UNDECIDABLE, NOT_CHECKED)
REPORTS = Path("results/audit")  # where a command leaves its report unless it is told otherwise

FAILED = 3  # exit status of an audit that could not do its work

_LONGEST = 10_000  # characters of one text in JUnit


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    check: str  # what was asked, e.g. "integrity"
    verdict: str
    subject: str  # the file or job, as a path or step name relative to the run's folder
    text: str  # one sentence: what, expected, found
    cause: str = ""  # likely cause and what to do
    inherited: str = ""  # subject of the finding that this one follows from; "" for a divergence of its own
    exempt: bool = False  # not to be checked, by a rule that the report names

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ValueError(f"{self.verdict!r} is no verdict; there are {', '.join(VERDICTS)}")


def exit_code(findings: Sequence[Finding]) -> int:
    """Return 0 when all is within its class, 1 for a difference, 2 when something was not decided.

    No finding at all is nothing decided. 3 is the process's own, when the audit fails itself (`run_audit`).
    """
    verdicts = {finding.verdict for finding in findings if not finding.exempt}
    if DIFFERENT in {finding.verdict for finding in findings}:
        return 1
    return 2 if not verdicts or verdicts & {UNDECIDABLE, NOT_CHECKED} else 0


def verdict_line(findings: Sequence[Finding]) -> str:
    """Return the outcome in one sentence."""
    first = first_divergence(findings)
    if first is not None:
        return f"Not as recorded. The first divergence: {first.text}"
    open_ones = sum(each.verdict in (UNDECIDABLE, NOT_CHECKED) and not each.exempt for each in findings)
    if open_ones:
        return f"No difference found, but {open_ones:,} could not be decided or were not checked: no pass."
    return "All that was looked at is within its class." if findings else "Nothing was looked at: no pass."


def first_divergence(findings: Sequence[Finding]) -> Finding | None:
    """Return the first difference that follows from no other one; findings are in the order of the workflow."""
    different = [finding for finding in findings if finding.verdict == DIFFERENT]
    return next((finding for finding in different if not finding.inherited), different[0] if different else None)


def counts(findings: Sequence[Finding]) -> dict[str, dict[str, int]]:
    """Return check → verdict → how many, verdicts with none included; the checks in the order of the findings."""
    found = Counter((finding.check, finding.verdict) for finding in findings)
    checks = dict.fromkeys(finding.check for finding in findings)
    return {check: {verdict: found[check, verdict] for verdict in VERDICTS} for check in checks}


def write_findings(
    folder: Path, command: str, findings: Sequence[Finding], facts: Mapping[str, Any], limits: Sequence[str] = ()
) -> int:
    """Write `<command>.json`, `.xml` (JUnit) and `.html` into `folder`, and return the exit code.

    Args:
        folder: made when it is not there.
        command: the audit's name, e.g. verify.
        findings: in the order of the workflow; the first difference is then the first divergence.
        facts: what the reader has to know of both sides, e.g. the seal: a name in words → text, number or list.
        limits: sentences on what this audit does not show.
    """
    code, line = exit_code(findings), verdict_line(findings)
    content: dict[str, Any] = {
        "format": FORMAT,
        "command": command,
        "exit_code": code,
        "verdict": line,
        "facts": dict(facts),
        "counts": counts(findings),
        "findings": [asdict(finding) for finding in findings],
        "limits": list(limits),
    }
    write_json(folder / f"{command}.json", content)
    write_bytes(folder / f"{command}.xml", junit(command, findings))
    write_text(folder / f"{command}.html", render_page(content))
    return code


def junit(command: str, findings: Sequence[Finding]) -> bytes:
    """Return the findings as JUnit: one suite for each check; a difference is a failure, an undecided one an error."""
    root = ET.Element("testsuites", name=command)
    for check, number in counts(findings).items():
        own = [finding for finding in findings if finding.check == check]
        suite = ET.SubElement(
            root,
            "testsuite",
            name=check,
            tests=str(len(own)),
            failures=str(number[DIFFERENT]),
            errors=str(number[UNDECIDABLE]),
            skipped=str(number[NOT_CHECKED]),
        )
        for finding in own:
            case = ET.SubElement(
                suite, "testcase", classname=f"{command}.{check}", name=printable(finding.subject, _LONGEST)
            )
            kind = {DIFFERENT: "failure", UNDECIDABLE: "error", NOT_CHECKED: "skipped"}.get(finding.verdict)
            if kind:
                ET.SubElement(case, kind, message=printable(finding.text, _LONGEST)).text = printable(
                    finding.cause, _LONGEST
                )
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"
