"""Is every recorded result there with the bytes that its job left, and nothing else beside it?"""

from __future__ import annotations

import fnmatch
import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from scripts.audit.findings import DIFFERENT, NOT_CHECKED, REPORTS, SAME, UNDECIDABLE, Finding
from scripts.audit.run_folder import RunFolder, files_below, subject
from scripts.lib.records import KEPT, LEASES, RESULTS, record_digest

CHECK, RECORDS_CHECK, STRAYS = "integrity", "records", "strays"
_WHOLE = 1024**2  # bytes, from which on files are read by several threads

# Files below results/ that belong to no record, by rule.
EXEMPT = {
    f"{REPORTS.relative_to(RESULTS).as_posix()}/*": "a report of an audit",
    "*/.*.part": "the unfinished file of a job that was killed; the next run of that job removes it",
    ".*.part": "the unfinished file of a job that was killed; the next run of that job removes it",
    "*/last.ckpt": "a checkpoint from which an interrupted training continues",
    "*/last-1.ckpt": "a checkpoint from which an interrupted training continues",
    "*/kept/*.ckpt": "a checkpoint that was kept for `segment`, which looks at its content",
    "*.before": "an earlier result that its owner set aside for the next run",
    "*.spill": "what a killed job had laid aside",
    "*/.snakemake_timestamp": "Snakemake's own",
}

Digest = str | OSError


def digests(paths: Sequence[Path]) -> dict[Path, Digest]:
    """Return the SHA-256 of each file, or why it cannot be read."""
    if len(paths) < 2 or sum(path.stat().st_size for path in paths if path.is_file()) < _WHOLE:
        return {path: _digest(path) for path in paths}
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        return dict(zip(paths, pool.map(_digest, paths), strict=True))


def _digest(path: Path) -> Digest:
    try:
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        return error


def check_records(run: RunFolder, identities: dict[str, str]) -> Iterator[Finding]:
    """Yield a finding for each record: whether it can be read and is the one that its job wrote.

    Args:
        run: what lies there.
        identities: job → identity, computed again from its record.
    """
    for place, problem in sorted(run.damaged.items()):
        yield Finding(
            RECORDS_CHECK,
            DIFFERENT,
            place,
            f"{place} is damaged: {problem}.",
            "Changed or removed after the job wrote it. Have the job run again, with UNPEOPLED_REMAKE=1.",
        )
    for name, record in run.jobs.items():
        place = f"records/{name}.json"
        if identities[name] == record["identity"] and record_digest(record) == record["digest"]:
            yield Finding(RECORDS_CHECK, SAME, place, f"The record of {record['step']} is the one that it wrote.")
        elif identities[name] == record["identity"]:
            yield Finding(
                RECORDS_CHECK,
                DIFFERENT,
                place,
                f"{place} has not the digest that it names ({record['digest'][:16]}): settings, code and files are the "
                "job's, and something else in it is not.",
                "The record was edited after the job wrote it, or the disk has changed it: what it says of machine, "
                "time, command or files of code cannot be believed. Have the job run again, with UNPEOPLED_REMAKE=1.",
            )
        else:
            yield Finding(
                RECORDS_CHECK,
                DIFFERENT,
                place,
                f"{place} says that its identity is {record['identity'][:16]}, and its content gives "
                f"{identities[name][:16]}.",
                "The record was edited after the job wrote it: what it says of settings, code or files is not what "
                "the job did. Have the job run again, with UNPEOPLED_REMAKE=1.",
            )


def check_integrity(run: RunFolder) -> Iterator[Finding]:
    """Yield a finding for each recorded output, in the order of the workflow."""
    due = [(name, record, each) for name, record in run.jobs.items() for each in record["outputs"]]
    places = {run.path(each["path"]): None for _, _, each in due}
    kept = {place: second for place in places if (second := _other_kept(run, place)) is not None}
    found = digests([*(place for place in places if place.is_file()), *kept.values()])
    for _, record, each in due:
        place = run.path(each["path"])
        yield _judge(record["step"], each, place, found)
        second = kept.get(place)
        if second is not None and found[second] != each["sha256"]:
            where = second.relative_to(run.folder).as_posix()
            yield Finding(
                CHECK,
                DIFFERENT,
                where,
                f"{where}, the second name of {each['path']}, has {_told(found[second])}, and {record['step']} "
                f"recorded {each['sha256'][:16]}.",
                f"It would not be put back (its digest is checked), so the job is computed again. Remove {where}.",
            )


def _other_kept(run: RunFolder, place: Path) -> Path | None:
    """Return the second name of a result, where it is a file of its own."""
    second = run.folder / KEPT / place.relative_to(run.folder / RESULTS)
    if not second.is_file():
        return None
    return None if place.is_file() and place.samefile(second) else second


def _told(digest: Digest) -> str:
    return f"SHA-256 {digest[:16]}" if isinstance(digest, str) else f"no bytes that can be read ({digest})"


def _judge(step: str, each: dict[str, Any], place: Path, found: dict[Path, Digest]) -> Finding:
    path = each["path"]
    remake = f"Have it made again: snakemake --forcerun {path} (with your other flags)."
    if not place.is_file():
        return Finding(
            CHECK, DIFFERENT, path, f"{path} is missing; {step} recorded {each['bytes']:,} bytes.",
            "Deleted or moved after the job ended. Run the workflow again: it puts the file back, or makes it.",
        )  # fmt: skip
    digest, size = found[place], place.stat().st_size
    if isinstance(digest, OSError):
        return Finding(
            CHECK, UNDECIDABLE, path, f"{path} cannot be read ({digest.strerror or digest}).",
            "Rights of the file, or the disk. Make it readable and audit again.",
        )  # fmt: skip
    if digest == each["sha256"] and size == each["bytes"]:
        return Finding(CHECK, SAME, path, f"{path} has the {size:,} bytes that {step} left.")
    if digest == each["sha256"]:
        cause = "The record's number of bytes was edited: the digest fits. Have the job run again."
    elif size < each["bytes"]:
        cause = f"Cut short after the job ended: a full disk, an interrupted copy, or by hand. {remake}"
    elif size > each["bytes"]:
        cause = f"Something was appended, or it is another file: by hand or by another program. {remake}"
    else:
        cause = f"Changed in place after the job ended: by the disk, by hand, or by another program. {remake}"
    return Finding(
        CHECK, DIFFERENT, path,
        f"{path} has {size:,} bytes and SHA-256 {digest[:16]}; {step} recorded {each['bytes']:,} bytes and "
        f"{each['sha256'][:16]}.",
        cause,
    )  # fmt: skip


def check_strays(run: RunFolder) -> Iterator[Finding]:
    """Yield a finding for each file that no record speaks of, and one for all others."""
    recorded = 0
    for path in run.results():
        name = path.relative_to(run.folder / RESULTS).as_posix()
        reason = next((text for pattern, text in EXEMPT.items() if fnmatch.fnmatchcase(name, pattern)), None)
        if name in run.makers:
            recorded += 1
        elif reason is not None:
            yield Finding(STRAYS, NOT_CHECKED, subject(name), f"{subject(name)} has no record: {reason}.", exempt=True)
        else:
            yield Finding(
                STRAYS, DIFFERENT, subject(name), f"{subject(name)} is there, and no job recorded that it made it.",
                "Put there by hand or by another program, made before there were records, or its record is lost. "
                "Remove it, or have the workflow make it: rm, then run again.",
            )  # fmt: skip
    yield Finding(STRAYS, SAME, RESULTS.as_posix(), f"{recorded:,} files below results/ have a record.")
    yield from _kept_without_record(run)
    for lease in files_below(run.folder / LEASES):
        place = lease.relative_to(run.folder).as_posix()
        yield Finding(
            STRAYS, NOT_CHECKED, place, f"{place} says that a job runs, or was killed: its results are not judged.",
            exempt=True,
        )  # fmt: skip


def _kept_without_record(run: RunFolder) -> Iterator[Finding]:
    for path in files_below(run.folder / KEPT):
        place = path.relative_to(run.folder)
        name = path.relative_to(run.folder / KEPT).as_posix()
        if name not in run.makers:
            part = path.name.startswith(".") and path.name.endswith(".part")
            yield Finding(
                STRAYS, NOT_CHECKED if part else DIFFERENT, place.as_posix(),
                f"{place.as_posix()} is a second name of a result that no record speaks of.",
                "The record was lost, or the file was put there by hand. It is never put back; remove it.",
                exempt=part,
            )  # fmt: skip
