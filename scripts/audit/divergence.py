"""Where two runs part: each job of both, judged by what went in and what came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.audit.causes import code_differences, input_differences, setting_differences
from scripts.audit.classes import A_HW, HARDWARE, class_of, machine_differences
from scripts.audit.closeness import closeness
from scripts.audit.differences import first_difference
from scripts.audit.findings import CLOSE, DIFFERENT, SAME, UNDECIDABLE, Finding
from scripts.audit.order import Jobs, in_order, makers
from scripts.audit.rerun import recorded_file
from scripts.audit.traces import Segment, first_other_row, judge_early, read_trace
from scripts.lib.records import Record, result_name

CHECK = "compare"
Pairs = list[tuple[dict[str, Any], dict[str, Any]]]  # the same output of both runs, as recorded


@dataclass(frozen=True)
class Side:
    """One of the two runs."""

    name: str  # as the reader knows it
    folder: Path | None  # with results/, where they are there to look into
    jobs: Jobs
    seal: str = ""

    def file(self, output: Mapping[str, Any]) -> Path | None:
        """Return an output's file, where it is there and as recorded."""
        name = result_name(output["path"])
        return recorded_file(self.folder, name, output["sha256"]) if self.folder and name else None


@dataclass
class Parted:
    """What is known so far while jobs are judged in the order of the workflow."""

    roots: dict[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # result that differs → subjects that it follows from
    verdicts: dict[str, str] = field(default_factory=dict)  # of the roots


def compare_jobs(one: Side, other: Side) -> list[Finding]:
    """Return one finding for each job of either run, in the order of the workflow."""
    both = {**other.jobs, **one.jobs}
    made_by = (makers(one.jobs), makers(other.jobs))
    known = Parted()
    return [_judge(name, one, other, made_by, known) for name in in_order(both)]


def _judge(name: str, one: Side, other: Side, made_by: tuple[dict[str, str], ...], known: Parted) -> Finding:
    left, right = one.jobs.get(name), other.jobs.get(name)
    if left is None or right is None:
        return _one_sided(name, left or right or {}, one if right is None else other, known)
    own, inherited = input_differences(left, right, (one.jobs, other.jobs), made_by, known.roots)
    own = [*setting_differences(left, right), *code_differences(left, right), *own]
    outputs = _paired(left["outputs"], right["outputs"])
    parted = [pair for pair in outputs if pair[0]["sha256"] != pair[1]["sha256"] and not pair[0].get("varying")]
    if not parted and len(left["outputs"]) == len(right["outputs"]):
        said = f"{left['step']} left the same in both runs" + (f", in spite of this: {'; '.join(own)}" if own else "")
        return Finding(CHECK, SAME, name, f"{said}.")
    subject = str(result_name(parted[0][0]["path"])) if parted else name
    names = [str(result_name(pair[0]["path"])) for pair in parted] or [name]
    if inherited and not own:
        roots = tuple(dict.fromkeys(root for each in inherited for root in known.roots[each]))
        known.roots |= dict.fromkeys(names, roots)
        certain = [root for root in roots if known.verdicts.get(root) == DIFFERENT]
        verdict = DIFFERENT if certain else UNDECIDABLE
        text = (
            f"{left['step']} left other bytes, because its input {inherited[0]} differs: this follows from {roots[0]}."
        )
        return Finding(CHECK, verdict, subject, text, inherited=(certain or list(roots))[0])
    finding = _culprit(subject, (left, right), (one, other), parted, own)
    known.roots |= dict.fromkeys(names, (finding.subject,))
    known.verdicts[finding.subject] = finding.verdict
    return finding


def _one_sided(name: str, record: Record, side: Side, known: Parted) -> Finding:
    inputs = [made for each in record["inputs"] if (made := result_name(each["path"])) in known.roots]
    roots = tuple(dict.fromkeys(root for each in inputs for root in known.roots[str(each)])) or (name,)
    known.roots |= {str(result_name(each["path"])): roots for each in record["outputs"]}
    known.verdicts.setdefault(roots[0], DIFFERENT)
    text = f"Only {side.name} has this job of {record['step']}."
    cause = "The configurations ask for other jobs, or one of the runs is not complete."
    return Finding(CHECK, DIFFERENT, name, text, cause, inherited=roots[0] if roots != (name,) else "")


def _culprit(
    subject: str, records: tuple[Record, Record], sides: tuple[Side, Side], parted: Pairs, own: Sequence[str]
) -> Finding:
    left, right = records
    machines, step = machine_differences(left, right), str(left["step"])
    where = where_parted(step, parted, sides)
    said = f"{step} left other bytes: {where}." if where else f"{step} left other bytes."
    if own:
        return Finding(CHECK, DIFFERENT, subject, f"{said} Likely cause: {own[0]}.", "; ".join(own))
    if machines and parted and class_of(step, parted[0][0]) == A_HW:
        verdict, text = _close(step, parted, sides)
        text = f"{step} ran on two kinds of machines and left other bytes: {text}."
        return Finding(
            CHECK, verdict, subject, text, f"The machines differ in {'; '.join(machines)}: {HARDWARE[step]}."
        )
    if machines:
        return Finding(CHECK, DIFFERENT, subject, said, f"The machines differ in {'; '.join(machines)}.")
    cause = (
        "Settings, code, inputs and kind of machine agree: one of the two was changed afterwards or damaged, or the "
        "step draws without a seed. `verify` tells the first, `rebuild` the second."
    )
    return Finding(CHECK, DIFFERENT, subject, said, cause)


def _close(step: str, parted: Pairs, sides: tuple[Side, Side]) -> tuple[str, str]:
    """Return the worst verdict over the outputs that differ, and its text."""
    found: list[tuple[str, str]] = []
    for a, b in parted:
        files = sides[0].file(a), sides[1].file(b)
        if files[0] is None or files[1] is None:
            found.append((UNDECIDABLE, f"whether {a['path']} is close needs the files of both runs"))
        elif a["flag"] == "trace":
            found.append(judge_early(read_trace(files[0]), read_trace(files[1])))
        else:
            found.append(closeness(step, a, files[0], files[1], sides[0].jobs.values()))
    for verdict in (DIFFERENT, UNDECIDABLE, CLOSE):
        for each in found:
            if each[0] == verdict:
                return verdict, each[1]
    return UNDECIDABLE, "nothing to compare"


def _paired(left: Sequence[dict[str, Any]], right: Sequence[dict[str, Any]]) -> Pairs:
    names = {result_name(each["path"]): each for each in right}
    return [(each, names[result_name(each["path"])]) for each in left if result_name(each["path"]) in names]


def where_parted(step: str, parted: Pairs, sides: tuple[Side, Side]) -> str:
    """Return where the outputs of a job part: a step of a training, else a place in the first that can be read."""
    for a, b in sorted(parted, key=lambda pair: pair[0]["flag"] != "trace"):
        files = sides[0].file(a), sides[1].file(b)
        if files[0] is None or files[1] is None:
            continue
        if a["flag"] == "trace":
            end = max(int(row["step"]) for path in files if path for row in read_trace(path))
            found = first_other_row(read_trace(files[0]), read_trace(files[1]), Segment(0, end, None))
            if found:
                return f"in {a['path']}, step {found[0]} is the first to differ: {found[1]}"
        return f"in {a['path']}, {first_difference(files[0], files[1])}"
    return ""
