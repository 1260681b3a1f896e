"""The record of a job: what went in, what came out, which code and settings, under which circumstances.

A job writes its own record, on the machine that ran it, so it exists also where the workflow that started the job has
died. `records/<stage>/<step>/...json` mirrors the first output's place under results/; each further output has a
pointer to it. A record is replaced whole when its job runs again. What it says of machine and time is for a reader;
what makes two jobs the same is its `identity`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.lib.files import write_json
from scripts.lib.recipe import canonical_json

FORMAT = 1
RESULTS, RECORDS = Path("results"), Path("records")
LEASES, KEPT = RECORDS / "leases", RECORDS / "kept"

Record = dict[str, Any]


def result_name(path: str | os.PathLike[str]) -> str | None:
    """Return a file's name below results/ of the working directory, e.g. filter/judge/00.parquet; None elsewhere."""
    relative = os.path.relpath(path)
    first, _, rest = relative.partition(os.sep)
    return rest if first == RESULTS.name and rest else None


def record_path(name: str, folder: Path = RECORDS) -> Path:
    """Return where the record, or the pointer to it, of the result `name` lies."""
    return folder / f"{name}.json"


def read_record(name: str, folder: Path = RECORDS) -> Record | None:
    """Return the record of the job that made the result `name`, None when there is none that can be read."""
    found = _load(record_path(name, folder))
    if found is not None and "record" in found:
        found = _load(record_path(str(found["record"]), folder))
    if found is None or name not in {result_name(each["path"]) for each in found["outputs"]}:
        return None  # a pointer to a record that has been replaced by one of other outputs
    return found


def _load(path: Path) -> Record | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    known = isinstance(found, dict) and found.get("format") == FORMAT and ("record" in found or "outputs" in found)
    return found if known else None


def all_records(folder: Path = RECORDS) -> Iterator[tuple[str, Record]]:
    """Yield the first output's name and the record of each job, in the order of the names."""
    for path in sorted(folder.rglob("*.json")):
        if LEASES.name in path.relative_to(folder).parts[:1] or KEPT.name in path.relative_to(folder).parts[:1]:
            continue
        found = _load(path)
        if found is not None and "outputs" in found:
            yield path.relative_to(folder).as_posix().removesuffix(".json"), found


def write_record(record: Record) -> None:
    """Write the record of a job whose outputs all lie under results/, and the pointers of its further outputs."""
    names = [result_name(each["path"]) for each in record["outputs"]]
    first, *others = [name for name in names if name is not None]
    write_json(record_path(first), record)
    for name in others:
        write_json(record_path(name), {"format": FORMAT, "record": first})


def identity(record: Record) -> str:
    """Return the SHA-256 of what makes a job itself: step, settings, code, files in and out; no machine, no time.

    Results that differ between runs by nature count by name; data from outside by its bytes, wherever it lies.
    """
    parts = {
        "step": record["step"],
        "values": record["values"],
        "code": record["code"]["text"],
        "inputs": [
            [each["flag"], result_name(each["path"]) or "", "" if each.get("varying") else each["sha256"]]
            for each in record["inputs"]
        ],
        "outputs": [
            [each["flag"], result_name(each["path"]) or "", "" if each.get("varying") else each["sha256"]]
            for each in record["outputs"]
        ],
    }
    return hashlib.sha256(canonical_json(parts).encode("utf-8")).hexdigest()


def record_digest(record: Record) -> str:
    """Return the SHA-256 of all that a record says, time and machine too, but for this digest."""
    parts = {name: value for name, value in record.items() if name != "digest"}
    return hashlib.sha256(canonical_json(parts).encode("utf-8")).hexdigest()


@dataclass(frozen=True)
class Code:
    """What `--code` says: the fingerprint, the modules that it covers, the environment and a digest of its pins."""

    text: str
    fingerprint: str
    modules: tuple[str, ...]
    environment: str

    @classmethod
    def parse(cls, text: str) -> Code:
        """Read `<fingerprint> <module>... env:<name>:<digest>`; an empty text gives empty parts."""
        fingerprint, *rest = text.split() or [""]
        return cls(
            text,
            fingerprint,
            tuple(each for each in rest if not each.startswith("env:")),
            next((each for each in rest if each.startswith("env:")), ""),
        )

    def with_fingerprint(self, fingerprint: str) -> Code:
        """Return the same with another fingerprint."""
        return Code.parse(" ".join(part for part in (fingerprint, *self.modules, self.environment) if part))


def seeds(value: Any, path: str = "") -> dict[str, Any]:
    """Return path → value of each setting whose name is or ends in `seed`, or `seeds`."""
    found: dict[str, Any] = {}
    if isinstance(value, Mapping):
        for name, item in value.items():
            here = f"{path}.{name}".lstrip(".")
            if name.split("_")[-1] in ("seed", "seeds") and not isinstance(item, Mapping):
                found[here] = item
            else:
                found |= seeds(item, here)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found |= seeds(item, f"{path}.{index}".lstrip("."))
    return found
