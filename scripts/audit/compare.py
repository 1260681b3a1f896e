"""Compare two runs, of two machines or of two days, and name the first job where they part.

First the settings, code, packages and machines that differ, then the results: the earliest job whose inputs agree and
whose outputs do not, with the place in the file and the likely cause beside it; what follows from it is listed as
inherited. Each of the two is a folder with records/, a folder of records, or a seal.json alone. Results are looked into
where they are there. Two kinds of machines are no difference: what they promise each other is judged by class.
"""

from __future__ import annotations

import csv
import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from scripts.audit.causes import code_differences, setting_differences
from scripts.audit.classes import machine_differences
from scripts.audit.divergence import CHECK, Side, compare_jobs
from scripts.audit.equivalence import MARGIN, judge_figures
from scripts.audit.findings import SAME, UNDECIDABLE, Finding, verdict_line, write_findings
from scripts.audit.order import Jobs, sealed_jobs
from scripts.audit.process import audit_parser, run_audit
from scripts.lib.errors import UserError
from scripts.lib.recipe import canonical_json
from scripts.lib.records import RECORDS, RESULTS
from scripts.lib.seal import seal_of

log = logging.getLogger(__name__)

FIGURES = "final figures"
LIMITS = (
    "Records are compared; that the files are still as recorded is what `verify` shows.",
    "Between two kinds of machines closeness is judged where the files of both runs are there.",
)


def open_side(path: Path, name: str) -> Side:
    """Return one of the two runs.

    Raises:
        UserError: there is neither a record nor a seal.
    """
    for records, folder in ((path / RECORDS, path), (path, path.parent if path.name == RECORDS.name else None)):
        jobs = sealed_jobs(records) if records.is_dir() else {}
        if jobs:
            there = folder is not None and (folder / RESULTS).is_dir()
            return Side(name, folder if there else None, jobs, seal_of(jobs))
    for file in (path, path / "seal.json", path / RECORDS / "seal.json"):
        if file.is_file():
            try:
                return Side(name, None, {}, str(json.loads(file.read_text(encoding="utf-8"))["seal"]))
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(f"{file} is no seal.json ({error!r})") from None
    raise UserError(f"{path} holds no records and no seal.json: name the folder in which the workflow ran")


def spec_facts(one: Jobs, other: Jobs) -> dict[str, list[str]]:
    """Return what differs between the jobs that both runs have, before any result: difference (number of jobs)."""
    found: dict[str, Counter[str]] = {"settings": Counter(), "code and packages": Counter(), "machines": Counter()}
    for name in sorted(one.keys() & other.keys()):
        left, right = one[name], other[name]
        found["settings"].update(f"{left['step']}: {text}" for text in setting_differences(left, right))
        found["code and packages"].update(f"{left['step']}: {text}" for text in code_differences(left, right))
        found["machines"].update(machine_differences(left, right))
    return {kind: [f"{text} ({count} jobs)" for text, count in sorted(each.items())] for kind, each in found.items()}


def replicates(jobs: Jobs) -> dict[str, str]:
    """Return name of a pretraining run → what it shares with those that differ in their seed alone."""
    found = {}
    for record in jobs.values():
        if record["step"] == "pretrain.train":
            run = record["values"]["recipe"]["run"]
            found[str(run["name"])] = canonical_json({key: run[key] for key in run if key not in ("name", "seed")})
    return found


Figure = tuple[str, str, str, str]  # replicates with their suffix, task, protocol, metric


def figures(table: Path, jobs: Jobs) -> dict[Figure, list[float]]:
    """Return the final figures of each set of replicates, one for each training: the mean over a protocol's seeds."""
    group_of, by_run = replicates(jobs), dict[tuple[Figure, str], list[float]]()
    with table.open(newline="", encoding="utf-8") as handle:
        for row in csv.DictReader(handle):
            run, _, suffix = row["run"].partition("-")
            if run in group_of and suffix != "untrained":
                figure = (group_of[run] + suffix, row["task"], row["protocol"], row["metric"])
                by_run.setdefault((figure, run), []).append(float(row["value"]))
    found: dict[Figure, list[float]] = {}
    for (figure, _), values in sorted(by_run.items()):
        found.setdefault(figure, []).append(sum(values) / len(values))
    return found


def compare_figures(one: Side, other: Side, margin: float) -> Iterator[Finding]:
    """Yield what is to be said of final figures that differ (class C)."""
    tables = []
    for side in (one, other):
        outputs = [each for record in side.jobs.values() for each in record["outputs"]]
        table = next((each for each in outputs if each["path"].endswith("evaluate/collect_results.csv")), None)
        tables.append(side.file(table) if table else None)
    if tables[0] is None or tables[1] is None:
        return
    left, right = figures(tables[0], one.jobs), figures(tables[1], other.jobs)
    names = {group: name for name, group in sorted(replicates(one.jobs).items(), reverse=True)}
    parted = [figure for figure in sorted(left.keys() & right.keys()) if left[figure] != right[figure]]
    for figure in parted:
        group = next((name for text, name in names.items() if figure[0].startswith(text)), "a run")
        subject = " ".join((group, *figure[1:]))
        verdict, text = judge_figures(left[figure], right[figure], margin, of=len(parted))
        yield Finding(FIGURES, verdict, subject, f"{subject}: {text}.")


def compare(one: Side, other: Side, margin: float) -> list[Finding]:
    """Return what is to be said of two runs, in the order of the workflow."""
    same = bool(one.seal) and one.seal == other.seal
    text = f"The seals of {one.name} and {other.name} are {'the same' if same else 'two'}: {one.seal}"
    seal = Finding("seal", SAME, "seal", f"{text}." if same else f"{text} and {other.seal}.")
    if not one.jobs or not other.jobs:
        if same:
            return [seal]
        cause = "A seal says that something differs and not what: compare with the records of that run."
        return [Finding("seal", UNDECIDABLE, "seal", seal.text, cause)]
    jobs = compare_jobs(one, other)
    if all(each.verdict == SAME for each in jobs):
        why = "" if same else _why_other_seal(one, other)
        return [*jobs, Finding("seal", SAME, "seal", seal.text + why)]
    return [*jobs, *compare_figures(one, other, margin)]


def _why_other_seal(one: Side, other: Side) -> str:
    facts = spec_facts(one.jobs, other.jobs)
    listed = [*facts["settings"], *facts["code and packages"]]
    return f" All results are the same; what differs: {'; '.join(listed[:5]) or 'where the runs end'}."


def main(argv: Sequence[str] | None = None) -> int:
    """Run the audit."""
    parser = audit_parser(__doc__)
    parser.add_argument("--other", required=True, help="the other run: its folder, records or seal")
    parser.add_argument("--margin", type=float, default=MARGIN, help="points of a final figure that do not matter")
    flags = parser.parse_args(argv)
    if not flags.other:
        raise UserError("no run to compare with: UNPEOPLED_OTHER=<folder> snakemake compare, or --other <folder>")
    one, other = open_side(flags.run, "the first run"), open_side(Path(flags.other), "the second run")
    findings = compare(one, other, flags.margin)
    facts: dict[str, Any] = {
        "jobs": [len(one.jobs), len(other.jobs)],
        "seals": [one.seal, other.seal],
        **{f"other {kind}": listed or "none" for kind, listed in spec_facts(one.jobs, other.jobs).items()},
        "inherited": sum(bool(each.inherited) for each in findings),
    }
    for line in _summary(facts, findings):
        log.info("%s", line)
    return write_findings(flags.report, CHECK, findings, facts, LIMITS)


def _summary(facts: dict[str, Any], findings: Iterable[Finding]) -> Iterator[str]:
    for kind in ("settings", "code and packages", "machines"):
        listed = facts[f"other {kind}"]
        yield f"other {kind}: {listed if isinstance(listed, str) else '; '.join(listed[:5])}"
    listed = [*findings]
    yield verdict_line(listed)
    for each in listed:
        if each.verdict == UNDECIDABLE and not each.inherited:
            yield f"undecidable: {each.text} {each.cause}"


if __name__ == "__main__":
    run_audit(main)
