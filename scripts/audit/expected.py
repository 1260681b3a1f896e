"""What the rules ask of a job today against what its record says: settings, code, environment, files in and out.

The two are read from command lines, which both have; so no step's module has to be imported to know its flags.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.audit.planned import PlannedJob
from scripts.lib.files import sha256_file
from scripts.lib.fingerprint import ROOT, code_files
from scripts.lib.flags import MACHINE
from scripts.lib.records import Code, Record, result_name

SETTINGS, CODE, ENVIRONMENT, INPUTS, ORDER, OUTPUTS = "settings", "code", "environment", "inputs", "order", "outputs"
_SHORT = 60  # characters of a value in a sentence


@dataclass(frozen=True)
class Difference:
    """One thing in which a planned job is not the recorded one."""

    kind: str
    text: str  # e.g. "rules.person.drop.hog: 0.9 -> 0.95"


def read_flags(argv: Sequence[str]) -> dict[str, list[str]]:
    """Return flag → words after it, in order; `--flag=word` and `--flag word` are the same."""
    found: dict[str, list[str]] = {}
    words: list[str] = []
    for word in argv:
        if word.startswith("--"):
            name, given, value = word[2:].partition("=")
            words = found.setdefault(name, [])
            words += [value] if given else []
        else:
            words.append(word)
    return found


def flags_of_plan(job: PlannedJob) -> dict[str, list[str]]:
    """Return the flags of a planned job's command; {} where it runs no step of ours."""
    return read_flags(job.argv[job.argv.index("-m") + 2 :]) if "-m" in job.argv else {}


def differences(job: PlannedJob, record: Record) -> list[Difference]:
    """Return in what `job` is not the job of `record`; nothing of what does not count (`scripts/lib/flags.py`)."""
    planned, recorded = flags_of_plan(job), read_flags(record["argv"])
    found = list(_settings(planned, recorded, record))
    found += _code(" ".join(planned.get("code", [])), record["code"])
    found += _files(planned, recorded, record)
    return found


def _settings(
    planned: Mapping[str, list[str]], recorded: Mapping[str, list[str]], record: Record
) -> Iterator[Difference]:
    files = {each["flag"] for each in [*record["inputs"], *record["outputs"]]}
    for flag in sorted({*planned, *recorded} - files):
        if flag.replace("-", "_") in MACHINE or flag == "code" or planned.get(flag) == recorded.get(flag):
            continue
        new, old = (_value(flags.get(flag)) for flags in (planned, recorded))
        if _holds_only_places(planned.get(flag), recorded.get(flag)):
            continue
        name = "" if flag == "recipe" else flag
        yield from (Difference(SETTINGS, text) for text in changed_keys(old, new, name))


def _holds_only_places(new: list[str] | None, old: list[str] | None) -> bool:
    """Return whether both are paths of data from outside, which count by their bytes and not by their place."""
    words = [word.rpartition("=")[2] for word in [*(new or []), *(old or [])] if word]
    return bool(words) and len(new or []) == len(old or []) and all(word.startswith(("/", "../")) for word in words)


def _value(words: list[str] | None) -> Any:
    if words is None or len(words) != 1:
        return "absent" if words is None else words
    with suppress(ValueError):
        return json.loads(words[0])
    return words[0]


def changed_keys(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Yield `path: old -> new` for each value that differs; entries of a list go by their `name`, if they have one."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            here = f"{path}.{key}".lstrip(".")
            if key not in old or key not in new:
                yield f"{here}: {_short(old.get(key, 'absent'))} -> {_short(new.get(key, 'absent'))}"
            else:
                yield from changed_keys(old[key], new[key], here)
    elif isinstance(old, list) and isinstance(new, list) and _named(old) and _named(new):
        before, after = ({str(each["name"]): each for each in entries} for entries in (old, new))
        yield from changed_keys(before, after, path)
        if before.keys() == after.keys() and list(before) != list(after):
            yield f"{path}: order {', '.join(before)} -> {', '.join(after)}"
    elif old != new:
        yield f"{path or 'recipe'}: {_short(old)} -> {_short(new)}"


def _named(entries: list[Any]) -> bool:
    names = [each.get("name") for each in entries if isinstance(each, dict)]
    return len(names) == len(entries) == len(set(map(str, names))) and None not in names and bool(entries)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHORT else text[: _SHORT - 3] + "..."


def _code(planned: str, recorded: Mapping[str, Any]) -> Iterator[Difference]:
    new, old = Code.parse(planned), Code.parse(recorded["text"])
    if new.environment != old.environment:
        yield Difference(ENVIRONMENT, f"the pins of envs/{new.environment.split(':')[1]}.yaml")
    if new.modules != old.modules:
        yield Difference(CODE, f"it runs {', '.join(new.modules)} instead of {', '.join(old.modules)}")
    elif new.fingerprint != old.fingerprint:
        files = changed_files(new.modules, recorded.get("files", {}))
        yield Difference(CODE, ", ".join(files) or "a file that is no longer used")


def changed_files(modules: Sequence[str], recorded: Mapping[str, str]) -> list[str]:
    """Return the files of ours that `modules` use and that are not what was recorded, relative to the checkout."""
    files = [path.relative_to(ROOT).as_posix() for path in code_files(*(f"scripts.{name}" for name in modules))]
    return [name for name in files if recorded.get(name) != sha256_file(ROOT / name)]


def _files(planned: Mapping[str, list[str]], recorded: Mapping[str, list[str]], record: Record) -> Iterator[Difference]:
    for kind, entries in ((INPUTS, record["inputs"]), (OUTPUTS, record["outputs"])):
        for flag in dict.fromkeys(each["flag"] for each in entries):
            new, old = ([_name(word) for word in flags.get(flag, []) if word] for flags in (planned, recorded))
            gone, come = sorted({*old} - {*new}), sorted({*new} - {*old})
            if gone or come:
                yield Difference(
                    kind, "; ".join([*(f"no longer {name}" for name in gone), *(f"also {name}" for name in come)])
                )
            elif new != old:
                yield Difference(ORDER, f"the order of --{flag}")


def _name(word: str) -> str:
    """Return the result's name; of data from outside, only that it is some."""
    path = word if not word.partition("=")[2] or Path(word).exists() else word.partition("=")[2]
    return result_name(path) or "data from outside"
