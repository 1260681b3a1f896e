"""The jobs of a run in the order of the workflow: makers before those that read what they made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from heapq import heapify, heappop, heappush
from pathlib import Path

from scripts.lib.records import Record, all_records, result_name
from scripts.lib.seal import closure

Jobs = dict[str, Record]  # name of the first output → record


def sealed_jobs(records: Path) -> Jobs:
    """Return the jobs that the sealed targets of a run rest on; all jobs where nothing is sealed.

    Records of an earlier configuration may lie there too: the seal says which are of the run.
    """
    try:
        targets = json.loads((records / "seal.json").read_text(encoding="utf-8"))["targets"]
    except (OSError, ValueError, KeyError):
        targets = []
    found = closure(targets, records).jobs if targets else {}
    return found or dict(all_records(records))


def makers(jobs: Mapping[str, Record]) -> dict[str, str]:
    """Return result → the job that makes it."""
    return {str(result_name(each["path"])): name for name, record in jobs.items() for each in record["outputs"]}


def in_order(jobs: Mapping[str, Record]) -> list[str]:
    """Return the names of `jobs`, each after those whose results it reads; by name where there is a choice.

    Jobs that rest on each other, which no workflow makes, come last.
    """
    made_by = makers(jobs)
    needs = {
        name: {made_by[made] for each in record["inputs"] if (made := result_name(each["path"])) in made_by} - {name}
        for name, record in jobs.items()
    }
    readers: dict[str, list[str]] = {}
    for name, before in needs.items():
        for each in before:
            readers.setdefault(each, []).append(name)
    open_needs = {name: len(before) for name, before in needs.items()}
    ready = [name for name, count in open_needs.items() if count == 0]
    heapify(ready)
    order: list[str] = []
    while ready:
        name = heappop(ready)
        order.append(name)
        for reader in readers.get(name, []):
            open_needs[reader] -= 1
            if open_needs[reader] == 0:
                heappush(ready, reader)
    return [*order, *sorted(jobs.keys() - set(order))]
