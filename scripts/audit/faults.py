"""The faults that the self-test plants in results and records, and what has to be said of each.

A kind is a function that plants one fault at a place that it draws, and returns which check has to name which file. One
that finds no place returns None.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scripts.audit import integrity, lineage
from scripts.audit.copied_run import CopiedRun
from scripts.audit.run_folder import output_names, subject
from scripts.lib.records import KEPT, RECORDS, RESULTS


@dataclass(frozen=True)
class Expected:
    """A finding that has to be there: of one of these checks, on one of these files, with these words in its texts."""

    checks: tuple[str, ...]
    subjects: tuple[str, ...]
    words: str = ""


Fault = Callable[[CopiedRun, random.Random], Expected | None]
_BYTES = (integrity.CHECK,)


def _result(copy: CopiedRun, draw: random.Random) -> str:
    """Draw a result that is not empty."""
    names = sorted(copy.read().makers)
    return subject(draw.choice([name for name in names if (copy.folder / RESULTS / name).stat().st_size]))


def flipped_bit(copy: CopiedRun, draw: random.Random) -> Expected:
    """One bit of a result is another one, its times are as before."""
    path = _result(copy, draw)
    content = bytearray(copy.bytes_of(path))
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    copy.write(path, bytes(content), keep_times=True)
    return Expected(_BYTES, (path,), "Changed in place")


def cut_short(copy: CopiedRun, draw: random.Random) -> Expected:
    """A result lacks its end."""
    path = _result(copy, draw)
    content = copy.bytes_of(path)
    copy.write(path, content[: draw.randrange(len(content))])
    return Expected(_BYTES, (path,), "Cut short")


def emptied(copy: CopiedRun, draw: random.Random) -> Expected:
    """A result has no byte."""
    path = _result(copy, draw)
    copy.write(path, b"", keep_times=True)
    return Expected(_BYTES, (path,), "Cut short")


def appended(copy: CopiedRun, draw: random.Random) -> Expected:
    """A result has bytes behind its end."""
    path = _result(copy, draw)
    copy.write(path, copy.bytes_of(path) + draw.randbytes(draw.randint(1, 512)))
    return Expected(_BYTES, (path,), "appended")


def overwritten(copy: CopiedRun, draw: random.Random) -> Expected:
    """A block of a result is zeros, as after a power cut; its times are as before."""
    path = _result(copy, draw)
    content = bytearray(copy.bytes_of(path))
    start = draw.randrange(len(content))
    block = content[start : start + 4096]
    content[start : start + 4096] = bytes(len(block)) if any(block) else b"\xff" * len(block)
    copy.write(path, bytes(content), keep_times=True)
    return Expected(_BYTES, (path,), "Changed in place")


def deleted(copy: CopiedRun, draw: random.Random) -> Expected:
    """A result is gone."""
    path = _result(copy, draw)
    copy.remove(path)
    return Expected(_BYTES, (path,), "Deleted")


def swapped_files(copy: CopiedRun, draw: random.Random) -> Expected:
    """Two results of one step have changed places."""
    run = copy.read()
    pairs = [
        (one, other)
        for one in run.makers
        for other in run.makers
        if one < other and run.jobs[run.makers[one]]["step"] == run.jobs[run.makers[other]]["step"]
    ]
    differing = [pair for pair in sorted(pairs) if copy.bytes_of(subject(pair[0])) != copy.bytes_of(subject(pair[1]))]
    one, other = (subject(name) for name in draw.choice(differing))
    first, second = copy.bytes_of(one), copy.bytes_of(other)
    copy.write(one, second)
    copy.write(other, first)
    return Expected(_BYTES, (one,))


def strange_file(copy: CopiedRun, draw: random.Random) -> Expected:
    """A file lies among the results that no job made."""
    path = str(Path(_result(copy, draw)).with_name(f"copy_of_{draw.randrange(100)}.parquet"))
    copy.write(path, draw.randbytes(100))
    return Expected((integrity.STRAYS,), (path,), "by hand")


def other_second_name(copy: CopiedRun, draw: random.Random) -> Expected:
    """The second name of a result is a file of its own, and another one."""
    path = _result(copy, draw)
    second = str(KEPT / path.removeprefix(f"{RESULTS}/"))
    content = copy.bytes_of(path)
    copy.remove(second)
    copy.write(second, content[:-1] + bytes([content[-1] ^ 1]))
    copy.later(lambda: copy.link(copy.folder / second))
    return Expected(_BYTES, (second,), "put back")


def _job(copy: CopiedRun, draw: random.Random) -> str:
    return draw.choice(sorted(copy.read().jobs))


def lost_record(copy: CopiedRun, draw: random.Random) -> Expected:
    """The record of a job is gone."""
    job = _job(copy, draw)
    copy.remove(f"{RECORDS}/{job}.json")
    return Expected((integrity.STRAYS,), (subject(job),), "record is lost")


def torn_record(copy: CopiedRun, draw: random.Random) -> Expected:
    """A record is cut short."""
    path = f"{RECORDS}/{_job(copy, draw)}.json"
    content = copy.bytes_of(path)
    copy.write(path, content[: draw.randrange(1, len(content) - 2)])
    return Expected((integrity.RECORDS_CHECK,), (path,), "after the job wrote it")


def moved_record(copy: CopiedRun, draw: random.Random) -> Expected:
    """The record of one job lies in the place of another's."""
    one, other = draw.sample(sorted(copy.read().jobs), 2)
    copy.write(f"{RECORDS}/{one}.json", copy.bytes_of(f"{RECORDS}/{other}.json"))
    return Expected((integrity.RECORDS_CHECK,), (f"{RECORDS}/{one}.json",), "in the place of")


def lost_pointer(copy: CopiedRun, draw: random.Random) -> Expected | None:
    """A further output of a job points to the record of another one."""
    several = [(job, output_names(record)) for job, record in copy.read().jobs.items() if len(record["outputs"]) > 1]
    if not several:
        return None
    job, names = draw.choice(several)
    name = draw.choice(names[1:])
    other = draw.choice(sorted(set(copy.read().jobs) - {job}))
    copy.write(f"{RECORDS}/{name}.json", json.dumps({"format": 1, "record": other}).encode())
    return Expected((integrity.RECORDS_CHECK,), (f"{RECORDS}/{name}.json",), "points to")


def edited_settings(copy: CopiedRun, draw: random.Random) -> Expected:
    """A record says that the job ran with other settings."""
    job = _job(copy, draw)
    record = copy.record(job)
    record["values"]["planted"] = draw.randrange(1000)
    copy.write_record(job, record, with_identity=False)
    return Expected((integrity.RECORDS_CHECK,), (f"{RECORDS}/{job}.json",), "edited")


def edited_circumstances(copy: CopiedRun, draw: random.Random) -> Expected:
    """A record says that the job ran on another machine, or with another command."""
    job = _job(copy, draw)
    record = copy.record(job)
    if draw.random() < 0.5:
        record["circumstances"]["host"] = "another"
    else:
        record["argv"] = [*record["argv"], "--planted"]
    copy.write_record(job, record, with_identity=False)
    return Expected((integrity.RECORDS_CHECK,), (f"{RECORDS}/{job}.json",), "edited")


def edited_input(copy: CopiedRun, draw: random.Random) -> Expected:
    """A record says that the job read a file with another digest, its identity fits."""
    jobs = [job for job, record in copy.read().jobs.items() if record["inputs"]]
    job = draw.choice(jobs)
    record = copy.record(job)
    each = draw.choice(record["inputs"])
    each["sha256"] = each["sha256"][::-1]
    copy.write_record(job, record, with_identity=True)
    copy.seal()
    return Expected((lineage.CHECK,), (subject(job),), "stale")


def edited_seal(copy: CopiedRun, draw: random.Random) -> Expected:
    """The seal is another one."""
    path = f"{RECORDS}/seal.json"
    sealed = json.loads(copy.bytes_of(path))
    place = draw.randrange(64)
    digit = sealed["seal"][place]
    sealed["seal"] = sealed["seal"][:place] + ("0" if digit != "0" else "1") + sealed["seal"][place + 1 :]
    copy.write(path, json.dumps(sealed).encode())
    return Expected((lineage.SEAL,), (path,), "edited")


def remade_above(copy: CopiedRun, draw: random.Random) -> Expected:
    """A job ran again and left other bytes; what rests on it was not made again."""
    run = copy.read()
    job = draw.choice([name for name in run.jobs if run.below[name]])
    record = copy.record(job)
    each = draw.choice([out for out in record["outputs"] if any(_reads(run.jobs[b], out) for b in run.below[job])])
    content = copy.bytes_of(each["path"]) + b"\0"
    copy.write(each["path"], content)
    each |= {"sha256": str(integrity.digests([copy.folder / each["path"]])[copy.folder / each["path"]])}
    each |= {"bytes": len(content)}
    copy.write_record(job, record, with_identity=True)
    readers = [subject(name) for name in run.below[job] if _reads(run.jobs[name], each)]
    return Expected((lineage.CHECK,), tuple(readers), "ran again later")


def _reads(record: dict[str, object], output: dict[str, object]) -> bool:
    inputs = record["inputs"]
    return isinstance(inputs, list) and any(each["path"] == output["path"] for each in inputs)


FILE_FAULTS: tuple[Fault, ...] = (
    flipped_bit, cut_short, emptied, appended, overwritten, deleted, swapped_files, strange_file, other_second_name,
    lost_record, torn_record, moved_record, lost_pointer, edited_settings, edited_circumstances,
    edited_input, edited_seal, remade_above,
)  # fmt: skip
