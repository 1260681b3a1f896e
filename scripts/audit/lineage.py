"""Does each job rest on what is there: are its inputs the outputs that their makers recorded last?

A job that was made from an earlier version of a file is stale, and all that rests on it with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from scripts.audit.findings import DIFFERENT, NOT_CHECKED, SAME, UNDECIDABLE, Finding
from scripts.audit.integrity import Digest, digests
from scripts.audit.run_folder import RunFolder, input_names, subject
from scripts.lib import seal as seals
from scripts.lib.records import Record, result_name

CHECK, SOURCES, SEAL = "lineage", "sources", "seal"


def check_lineage(run: RunFolder) -> Iterator[Finding]:
    """Yield one finding for each job, in the order of the workflow."""
    left = {
        str(result_name(each["path"])): each["sha256"] for record in run.jobs.values() for each in record["outputs"]
    }
    for name, record in run.jobs.items():
        stale, unknown, fitting = [], [], 0
        for each in record["inputs"]:
            made = result_name(each["path"])
            if made is None:
                continue
            if made not in left:
                unknown.append(each["path"])
            elif left[made] != each["sha256"]:
                stale.append((each, run.makers[made]))
            else:
                fitting += 1
        place, step = subject(name), record["step"]
        if stale:
            yield _stale(place, step, stale, run)
        elif unknown:
            yield Finding(
                CHECK, UNDECIDABLE, place,
                f"{step} read {', '.join(unknown[:3])}, of which there is no record.",
                "The record of the job that made it is lost or damaged. Have that job run again.",
            )  # fmt: skip
        else:
            yield Finding(CHECK, SAME, place, f"The {fitting} inputs of {step} are what their makers left.")


def _stale(place: str, step: str, stale: list[tuple[dict[str, Any], str]], run: RunFolder) -> Finding:
    each, maker = stale[0]
    by = run.jobs[maker]["step"]
    others = f" So it is with {len(stale) - 1} more of its inputs." if len(stale) > 1 else ""
    return Finding(
        CHECK, DIFFERENT, place,
        f"{place} is stale: {step} read another version of {each['path']} (SHA-256 {each['sha256'][:16]}) than the one "
        f"that {by} recorded.{others}",
        f"{by} ran again later and {step} did not; or files of two runs were mixed. Run the workflow again.",
    )  # fmt: skip


def check_sources(run: RunFolder) -> Iterator[Finding]:
    """Yield a finding for each file from outside that some job read: whether it is still there and the same."""
    read: dict[str, list[tuple[Record, dict[str, Any]]]] = {}
    for record in run.jobs.values():
        for each in record["inputs"]:
            if result_name(each["path"]) is None:
                read.setdefault(each["path"], []).append((record, each))
    found = digests([place for path in read if (place := run.path(path)).is_file()])
    for path, uses in sorted(read.items()):
        yield _judge_source(path, uses, run, found.get(run.path(path)))


def _judge_source(
    path: str, uses: list[tuple[Record, dict[str, Any]]], run: RunFolder, digest: Digest | None
) -> Finding:
    steps = ", ".join(sorted({record["step"] for record, _ in uses}))
    recorded = sorted({each["sha256"] for _, each in uses})
    if any(each.get("folder") for _, each in uses):
        return Finding(
            SOURCES, NOT_CHECKED, path, f"{path} is a folder that {steps} read: no digest of its bytes is recorded.",
            "What was read of it has a digest in the tables that were made from it.", exempt=True,
        )  # fmt: skip
    if digest is None:
        gone = not run.path(path).parent.is_dir()
        return Finding(
            SOURCES, NOT_CHECKED if gone else UNDECIDABLE, path,
            f"{path}, which {steps} read, {'lies elsewhere' if gone else 'is gone'}.",
            "Sources are not copied into the run. Put it back to have it compared, or leave the sources out "
            "(--leave-out sources).",
        )  # fmt: skip
    if isinstance(digest, OSError) or recorded != [digest]:
        now = digest[:16] if isinstance(digest, str) else str(digest)
        return Finding(
            SOURCES, UNDECIDABLE, path,
            f"{path} is not what {steps} read: recorded {', '.join(each[:16] for each in recorded)}, found {now}.",
            "The source was replaced or edited after it was read, so that nobody can say whether it gives these "
            "results. Put the former file back, or run the workflow again.",
        )  # fmt: skip
    return Finding(SOURCES, SAME, path, f"{path} is the file that {steps} read.")


def closure(run: RunFolder, targets: Iterable[str]) -> tuple[dict[str, Record], set[str]]:
    """Return the jobs that the results `targets` rest on, and the results among these of which there is no record."""
    waiting, jobs, unrecorded = list(targets), {}, set()
    while waiting:
        name = waiting.pop()
        maker = run.makers.get(name)
        if maker is None:
            unrecorded.add(name)
        elif maker not in jobs:
            jobs[maker] = run.jobs[maker]
            waiting += input_names(run.jobs[maker])
    return jobs, unrecorded


def check_seal(run: RunFolder, sealed: dict[str, Any] | None, published: str) -> Iterator[Finding]:
    """Yield whether the records give the seal that the run wrote, and the one that was published.

    Args:
        run: what lies there.
        sealed: content of records/seal.json; None when there is none that can be read.
        published: the seal to compare with, "" for none.
    """
    place = "records/seal.json"
    jobs, unrecorded = closure(run, sealed.get("targets", []) if sealed else [])
    seal = seals.seal_of(jobs)
    if sealed is None:
        yield Finding(
            SEAL, NOT_CHECKED, place, "The run has no seal: its targets were not all made, or it was told other ones.",
            "Run the workflow to its end.", exempt=not published,
        )  # fmt: skip
    elif unrecorded or seal != sealed.get("seal"):
        missing = f"; {len(unrecorded)} results have no record" if unrecorded else ""
        yield Finding(
            SEAL, DIFFERENT, place,
            f"The records give the seal {seal[:16]} over {len(jobs)} jobs, and the run wrote "
            f"{str(sealed.get('seal'))[:16]} over {sealed.get('jobs')}{missing}.",
            "Jobs ran again after the run was sealed, or a record or the seal was edited. Run the workflow to its end.",
        )  # fmt: skip
    else:
        yield Finding(SEAL, SAME, place, f"The records of {len(jobs)} jobs give the seal that the run wrote.")
    if published:
        same = seal == published.lower() and sealed is not None and not unrecorded
        yield Finding(
            SEAL, SAME if same else DIFFERENT, "seal",
            f"The seal is the published one, {published[:16]}." if same
            else f"The seal is {seal[:16]}, and the published one is {published[:16].lower()}.",
            "" if same else "Another run, or records that were changed: `compare` names the first job that differs.",
        )  # fmt: skip


def with_heirs(run: RunFolder, findings: Iterable[Finding], heritable: Iterable[str]) -> Iterator[Finding]:
    """Yield the findings, and for each job that rests on one that would be made otherwise today, another.

    A file that was changed after its job has no heirs: what was made from it was made from the bytes of the record.
    """
    listed = list(findings)
    own = {finding.subject for finding in listed if finding.verdict == DIFFERENT}
    told: set[str] = set()
    for finding in listed:
        yield finding
        first = run.makers.get(finding.subject.removeprefix("results/"))
        if finding.verdict != DIFFERENT or finding.check not in heritable or first is None:
            continue
        for name in run.jobs:
            if name in run.below[first] and name not in told and subject(name) not in own:
                told.add(name)
                yield replace(
                    finding, subject=subject(name), inherited=finding.subject,
                    text=f"{subject(name)} rests on {finding.subject}.", cause="",
                )  # fmt: skip
