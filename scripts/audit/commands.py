"""record → command line: how a recorded job is run again, word for word but for where things lie and what is free."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from scripts.audit.expected import read_flags
from scripts.lib.flags import MACHINE
from scripts.lib.records import Record, result_name


class UndecidableError(Exception):
    """What the record does not let us decide; its text is the reason, one sentence."""


def command_of(record: Record, run: Path, **machine: int) -> list[str]:
    """Return the command that runs a recorded job again, in a folder that holds its inputs under the same names.

    Args:
        record: of the job.
        run: folder of the recorded run, from which relative paths to data from outside start.
        machine: flags that no result depends on, with the value that they get, such as threads=1; those that the
            step was not given are left out, but for `stop_after`, which is added.

    Raises:
        UndecidableError: the record has no command line, or one that is not of this job.
    """
    argv = record.get("argv")
    if not isinstance(argv, list) or not all(isinstance(word, str) for word in argv):
        raise UndecidableError("its record holds no command line")
    flags = read_flags(argv)
    contradiction = _contradiction(record, flags)
    if contradiction:
        raise UndecidableError(f"its record contradicts itself: {contradiction}")
    outside = [each for each in record["inputs"] if result_name(each["path"]) is None]
    moved = {each["path"]: (run / each["path"]).absolute().as_posix() for each in outside}
    words: list[str] = []
    for name, values in flags.items():
        flag = name.replace("-", "_")
        given = [str(machine[flag])] if flag in machine else [_moved(value, moved) for value in values]
        if flag == "root":  # a folder outside; its index is the input
            given = [(run / value).absolute().as_posix() if value else "" for value in values]
        # An empty text, or one that begins with a dash, is only understood after "=".
        words += [f"--{name}={given[0]}"] if len(given) == 1 else [f"--{name}", *given]
    if machine.get("stop_after") and "stop-after" not in flags:
        words.append(f"--stop-after={machine['stop_after']}")
    return [sys.executable, "-m", f"scripts.{record['step']}", *words]


def _moved(value: str, moved: Mapping[str, str]) -> str:
    name, given, path = value.partition("=")
    return moved.get(value) or (f"{name}={moved[path]}" if given and path in moved else value)


def _contradiction(record: Record, flags: Mapping[str, list[str]]) -> str:
    """Return in which way the command line is not of this record, "" when it is."""
    for entry in [*record["inputs"], *record["outputs"]]:
        given = flags.get(entry["flag"], [])
        path = entry["path"]
        if Path(path).is_absolute() and result_name(path):
            return f"--{entry['flag']} names a result by the absolute path {path}"
        if not any(_same_path(path, each) or _same_path(path, each.partition("=")[2]) for each in given):
            return f"its command line does not name {path} under --{entry['flag']}"
    for flag, value in record["values"].items():
        if flag in flags and value not in _readings(flags[flag]):
            return f"its command line has another --{flag}"
    code = flags.get("code", [""])
    if record["code"]["text"].split()[1:] != " ".join(code).split()[1:]:
        return "its command line names other modules"
    return ""


def _same_path(path: str, given: str) -> bool:
    return bool(given) and Path(given).as_posix() == path


def _readings(words: list[str]) -> list[Any]:
    """Return what a parser may have made of a flag's words."""
    numbers: list[Any] = []
    if len(words) == 1:
        with suppress(ValueError):
            numbers.append(json.loads(words[0]))
        with suppress(ValueError):
            numbers.append(float(words[0]))
    return [*numbers, *(words[:1] if len(words) == 1 else []), words, True if not words else None]


def recorded_threads(record: Record) -> int | None:
    """Return the threads that a job was given, None when its step takes none."""
    with suppress(KeyError, IndexError, ValueError, TypeError):
        return int(read_flags(record["argv"])["threads"][0])
    return None


assert {"threads", "stop_after", "root"} <= MACHINE  # flags that are chosen anew here must not count in a comparison
