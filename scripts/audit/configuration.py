"""Would today's configuration ask for the jobs that were recorded: the same files, in the same order, the same values?

Expected is what Snakemake plans (`planned.py`): the command of each job. A record holds what the step's own parser made
of its command, so the two are compared flag by flag, in the words of the command line and without loading the steps:
which flags are files and which are values is in the record. A flag that one of the two lacks has its default, which is
part of the step's code; a flag in neither place of the record names nothing, or data that was not there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from scripts.audit.expected import changed_keys, flags_of_plan
from scripts.audit.findings import DIFFERENT, SAME, Finding
from scripts.audit.integrity import digests
from scripts.audit.planned import PlannedJob
from scripts.audit.run_folder import RunFolder, output_names, subject
from scripts.lib.flags import MACHINE
from scripts.lib.records import Code, Record, result_name

CHECK = "configuration"
_NAMED = 5  # differences in a sentence
_ABSENT = object()


def check_configuration(run: RunFolder, planned: Sequence[PlannedJob]) -> Iterator[Finding]:
    """Yield a finding for each recorded job in the order of the workflow, then for each job that was not made."""
    expected: dict[str, PlannedJob] = {}
    missing = []
    for job in planned:
        makers = {run.makers.get(str(result_name(path))) for path in job.outputs}
        found = next(iter(makers)) if len(makers) == 1 else None
        if found is None or {subject(name) for name in output_names(run.jobs[found])} != set(job.outputs):
            missing.append(job)
        else:
            expected[found] = job
    for name, record in run.jobs.items():
        if name in expected:
            yield _judge(subject(name), record, expected[name], run.folder)
        else:
            yield Finding(
                CHECK, DIFFERENT, subject(name),
                f"{subject(name)} was made by {record['step']}, and the configuration asks for no such job.",
                "A leftover of another configuration, or of targets that were asked for by name (--targets). Remove it "
                f"with its record: rm {subject(name)} records/{name}.json",
            )  # fmt: skip
    for job in sorted(missing, key=lambda job: job.outputs):
        yield Finding(
            CHECK, DIFFERENT, job.outputs[0],
            f"{job.outputs[0]} is not made: the configuration asks {job.rule} for it, and no job recorded that it "
            f"made {'it' if len(job.outputs) == 1 else 'these ' + str(len(job.outputs)) + ' files'}.",
            "The run was not finished, or the configuration has changed since. Run the workflow again.",
        )  # fmt: skip


def _judge(place: str, record: Record, job: PlannedJob, folder: Path) -> Finding:
    flags = flags_of_plan(job)
    told = [
        *_values(record, flags, folder),
        *_files("inputs", record, flags, folder),
        *_files("outputs", record, flags, folder),
        *_modules(record, flags),
    ]
    if not told:
        return Finding(CHECK, SAME, place, f"{record['step']} ran with the settings that the configuration gives it.")
    more = f"; and {len(told) - _NAMED} more" if len(told) > _NAMED else ""
    return Finding(
        CHECK, DIFFERENT, place,
        f"{record['step']} would run otherwise: {'; '.join(told[:_NAMED])}{more}.",
        "The configuration, or what it points at, has changed since the job ran. Run the workflow again, or give the "
        "configuration of that run.",
    )  # fmt: skip


def _values(record: Record, flags: Mapping[str, Sequence[str]], folder: Path) -> Iterator[str]:
    """Yield how the values differ, recorded -> configured: `rules.person.drop.hog: 0.9 -> 0.8`."""
    files = {each["flag"] for each in (*record["inputs"], *record["outputs"])}
    for flag in sorted(record["values"].keys() | flags.keys()):
        if flag in files or flag.replace("-", "_") in MACHINE:
            continue
        before = record["values"].get(flag, _ABSENT)
        words = [word for word in flags.get(flag, ()) if word]
        if before is _ABSENT:
            there = [word for word in words if result_name(_path(word)) or (folder / _path(word)).exists()]
            if there:
                yield f"--{flag} names {', '.join(there)}, which was not read"
            continue
        if flag not in flags and before in (None, "", False, []):
            continue
        name = "" if flag == "recipe" else flag
        yield from changed_keys(before, _like(before, flags.get(flag, ["nothing"])), name)


def _like(before: Any, words: Sequence[str]) -> Any:
    """Return the words of a flag as the record would hold them."""
    if isinstance(before, bool):
        return not words
    if isinstance(before, list) and not (len(words) == 1 and words[0].startswith("[")):
        return [str(word) if all(isinstance(each, str) for each in before) else _parsed(word) for word in words]
    text = " ".join(words)
    return text if isinstance(before, str) else _parsed(text) if text else before if before is None else text


def _parsed(text: str) -> Any:
    with suppress(ValueError):
        return json.loads(text)
    return text


def _path(word: str) -> str:
    """Return the path in a word; it may be `name=path`."""
    name, given, path = word.partition("=")
    return Path(path if given and "/" not in name else word).as_posix()


def _files(kind: str, record: Record, flags: Mapping[str, Sequence[str]], folder: Path) -> Iterator[str]:
    """Yield how the inputs, or the outputs, differ, flag by flag."""
    for flag in dict.fromkeys(each["flag"] for each in record[kind]):
        before = [each for each in record[kind] if each["flag"] == flag]
        old = [Path(each["path"]).as_posix() for each in before]
        new = [_path(word) for word in flags.get(flag, ()) if word]
        if old == new or _moved(before, new, folder):
            continue
        if sorted(old) == sorted(new):
            yield f"the {kind} under --{flag} are in another order: recorded {_list(old)}, configured {_list(new)}"
        else:
            gone, come = _without(old, new), _without(new, old)
            yield (
                f"the {kind} under --{flag} differ: recorded only {_list(gone) or 'none'}, configured only "
                f"{_list(come) or 'none'}"
            )


def _moved(before: Sequence[Mapping[str, Any]], new: Sequence[str], folder: Path) -> bool:
    """Return whether data from outside merely lies elsewhere: the same bytes in the same order."""
    if len(before) != len(new):
        return False
    moved = [(each, path) for each, path in zip(before, new, strict=True) if Path(each["path"]).as_posix() != path]
    if any(result_name(each["path"]) or result_name(path) for each, path in moved):
        return False
    if any(each.get("folder") for each, _ in moved):
        return True  # nothing is known of its bytes here; `sources` says so
    found = digests([folder / path for _, path in moved])
    return all(found[folder / path] == each["sha256"] for each, path in moved)


def _without(names: Iterable[str], others: Iterable[str]) -> list[str]:
    known = set(others)
    return [name for name in names if name not in known]


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _modules(record: Record, flags: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield which modules of code differ. Another fingerprint of the same modules is `code_drift.py`'s to name."""
    before, after = (Code.parse(text) for text in (record["code"]["text"], " ".join(flags.get("code", ()))))
    if before.modules != after.modules:
        yield f"it would run {' '.join(after.modules)}, recorded {' '.join(before.modules) or 'none'}"
    names = [each.environment.split(":")[1:2] for each in (before, after)]
    if names[0] != names[1]:
        yield f"it would run in the environment {after.environment}, recorded {before.environment or 'none'}"
