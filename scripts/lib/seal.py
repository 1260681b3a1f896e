"""The seal of a run: one digest over the records of all jobs that its targets rest on.

It holds settings, code, bytes in and bytes out of each job and nothing of machine or time, so two runs of the same
project on the same data have the same seal. It is the root of a Merkle tree (RFC 6962, section 2.1) over the jobs'
identities, so that one job can be proven to be part of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.lib import records
from scripts.lib.files import write_json
from scripts.lib.records import Record, result_name


@dataclass(frozen=True)
class Closure:
    """The jobs that targets rest on: name of the first output → record; and the results that no record speaks of."""

    jobs: dict[str, Record]
    unrecorded: tuple[str, ...]


def closure(targets: Iterable[str], folder: Path = records.RECORDS) -> Closure:
    """Walk from the results `targets` (names below results/) to all that they were made from."""
    jobs: dict[str, Record] = {}
    unrecorded, seen = set(), set()
    waiting = list(targets)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        record = records.read_record(name, folder)
        if record is None:
            unrecorded.add(name)
            continue
        jobs[str(result_name(record["outputs"][0]["path"]))] = record
        waiting += [made for each in record["inputs"] if (made := result_name(each["path"]))]
    return Closure(dict(sorted(jobs.items())), tuple(sorted(unrecorded)))


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Return the root of the tree over `leaves` as RFC 6962 defines it; no leaf gives the digest of nothing."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    half = 1 << (len(leaves) - 1).bit_length() - 1  # the largest power of two below their number
    return hashlib.sha256(b"\x01" + merkle_root(leaves[:half]) + merkle_root(leaves[half:])).digest()


def seal_of(jobs: dict[str, Record]) -> str:
    """Return the seal over the identities of `jobs`, in the order of their names: 64 hexadecimal digits."""
    leaves = [f"{name}\0{records.identity(record)}".encode() for name, record in sorted(jobs.items())]
    return merkle_root(leaves).hex()


def seal_run(targets: Iterable[str], folder: Path = records.RECORDS) -> str | None:
    """Seal the run that made the files `targets` (paths), write records/seal.json and return one line that says so.

    Returns None where a target, or what it rests on, is not there or has no record.
    """
    names = sorted(name for each in targets if (name := result_name(each)))
    found = closure(names, folder)
    if found.unrecorded or not found.jobs:
        return None
    seal = seal_of(found.jobs)
    facts = {"format": records.FORMAT, "seal": seal, "jobs": len(found.jobs), "targets": names}
    write_json(folder / "seal.json", facts)
    return f"seal {seal} over {len(found.jobs)} jobs ({folder / 'seal.json'})"
