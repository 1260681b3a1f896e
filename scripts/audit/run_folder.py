"""What a run left behind, as the audit sees it: its records, whole or damaged, in the order of the workflow.

Nothing here trusts a record: one that cannot be read, or lacks what the checks need, is a finding and no error.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from scripts.lib.errors import UserError
from scripts.lib.records import FORMAT, KEPT, LEASES, RECORDS, RESULTS, Record, result_name

_PARTS: dict[str, type] = {
    "step": str,
    "values": dict,
    "code": dict,
    "inputs": list,
    "outputs": list,
    "identity": str,
    "digest": str,
    "circumstances": dict,
}


@dataclass
class RunFolder:
    """A folder with results/ and records/.

    Attributes:
        folder: where it lies.
        jobs: name of the first output below results/ → record; what a job was made from stands before it.
        makers: name of a result → name of the job that made it.
        damaged: record file, relative to the folder → what is wrong with it.
        broken: results, as recorded paths, that have not the bytes of their record: no check reads what is in them.
    """

    folder: Path
    jobs: dict[str, Record]
    makers: dict[str, str]
    damaged: dict[str, str] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, folder: Path) -> RunFolder:
        """Read all records below `folder`.

        Raises:
            UserError: there are none.
        """
        records = folder / RECORDS
        if not records.is_dir():
            raise UserError(
                f"{folder.resolve()} has no {RECORDS}/: there is nothing to compare its results with. Give the folder "
                "in which the workflow ran (--run); results that were made without records cannot be audited"
            )
        found: dict[str, Record] = {}
        pointers: dict[str, str] = {}
        damaged: dict[str, str] = {}
        for path in sorted(_record_files(records)):
            name = path.relative_to(records).as_posix().removesuffix(".json")
            content, problem = _load(path)
            if problem:
                damaged[path.relative_to(folder).as_posix()] = problem
            elif "record" in content:
                pointers[name] = str(content["record"])
            elif problem := _misplaced(name, content):
                damaged[path.relative_to(folder).as_posix()] = problem
            else:
                found[name] = content
        makers: dict[str, str] = {}
        for name, record in found.items():
            makers |= dict.fromkeys(output_names(record), name)
        for name, first in pointers.items():
            if first not in found or makers.get(name) != first:
                place = (RECORDS / f"{name}.json").as_posix()
                damaged[place] = f"it points to the record of {first}, which is not there or not of this file"
        return cls(folder, _sorted(found, makers), makers, damaged)

    def path(self, recorded: str) -> Path:
        """Return where a recorded path lies: below the folder, unless it is absolute."""
        return self.folder / recorded

    @cached_property
    def below(self) -> dict[str, set[str]]:
        """Job → all jobs that rest on it, directly or not."""
        direct: dict[str, set[str]] = {name: set() for name in self.jobs}
        for name, record in self.jobs.items():
            for maker in self.made_from(record):
                direct[maker].add(name)
        found: dict[str, set[str]] = {}
        for name in reversed(self.jobs):
            known = (found.get(each, set()) | {each} for each in direct[name])
            found[name] = set().union(*known)
        return found

    def made_from(self, record: Record) -> set[str]:
        """Return the jobs whose outputs a job read."""
        return {self.makers[name] for name in input_names(record) if name in self.makers}

    def of_step(self, step: str) -> Iterator[tuple[str, Record]]:
        """Yield name and record of each job of a step, e.g. filter.judge."""
        return ((name, record) for name, record in self.jobs.items() if record["step"] == step)

    def results(self) -> Iterator[Path]:
        """Yield all files below results/, in the order of their names; links to folders are followed once."""
        return files_below(self.folder / RESULTS)


def subject(name: str) -> str:
    """Return how findings name a result: its path in the run's folder."""
    return (RESULTS / name).as_posix()


def output_names(record: Record) -> list[str]:
    """Return the names of a job's outputs below results/."""
    return [name for each in record["outputs"] if (name := result_name(each["path"]))]


def input_names(record: Record) -> list[str]:
    """Return the names of those inputs of a job that are results."""
    return [name for each in record["inputs"] if (name := result_name(each["path"]))]


def inputs_of(record: Record, flag: str) -> list[str]:
    """Return the paths that a job read under one flag, in their order."""
    return [each["path"] for each in record["inputs"] if each["flag"] == flag]


def output_of(record: Record, flag: str) -> str:
    """Return the path that a job wrote under a flag; "" for none."""
    return next((str(each["path"]) for each in record["outputs"] if each["flag"] == flag), "")


def files_below(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder, sorted; links to folders are followed, each folder once."""
    seen = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = Path(parent).resolve()
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        yield from (Path(parent, name) for name in sorted(files))


def _record_files(records: Path) -> Iterator[Path]:
    aside = {LEASES.relative_to(RECORDS).parts[0], KEPT.relative_to(RECORDS).parts[0]}
    for path in files_below(records):
        place = path.relative_to(records)
        if place.parts[0] not in aside and path.suffix == ".json" and place.as_posix() != "seal.json":
            yield path


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no number of JSON")


def _load(path: Path) -> tuple[dict[str, Any], str]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except (OSError, ValueError) as error:
        return {}, f"it cannot be read ({type(error).__name__}: {error})"
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        return {}, f"it is no record of format {FORMAT}"
    if set(content) == {"format", "record"}:
        return content, ""
    for name, kind in _PARTS.items():
        if not isinstance(content.get(name), kind):
            return {}, f"it has no {name}"
    code = content["code"]
    if not isinstance(code.get("text"), str) or not isinstance(code.get("files"), dict):
        return {}, "its code has no text or no files"
    problem = _wrong_files(content["inputs"], ()) or _wrong_files(content["outputs"], ("bytes",))
    return content, problem or ("" if content["outputs"] else "it has no outputs")


def _wrong_files(entries: Iterable[Any], needed: Iterable[str]) -> str:
    for each in entries:
        texts = isinstance(each, Mapping) and all(isinstance(each.get(key), str) for key in ("flag", "path", "sha256"))
        if not texts or not all(isinstance(each.get(key), int) for key in needed):
            return "one of its files has no flag, path, size or SHA-256"
    return ""


def _misplaced(name: str, record: Record) -> str:
    names = output_names(record)
    if len(names) != len(record["outputs"]):
        return "it names outputs that are not below results/"
    return "" if names[0] == name else f"it is the record of {names[0]}, and lies in the place of another's"


def _sorted(found: dict[str, Record], makers: dict[str, str]) -> dict[str, Record]:
    """Return the jobs so that each stands after those it was made from; otherwise by name."""
    ordered: dict[str, Record] = {}
    begun: set[str] = set()
    for start in sorted(found):
        waiting = [(start, False)]
        while waiting:
            name, ready = waiting.pop()
            if ready:
                ordered[name] = found[name]
                continue
            if name in begun:
                continue
            begun.add(name)
            waiting.append((name, True))
            before = {makers[each] for each in input_names(found[name]) if each in makers} - begun
            waiting += [(each, False) for each in sorted(before, reverse=True)]
    return ordered
