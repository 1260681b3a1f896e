"""What a step's flags are to it: files that it reads, files that it writes, or plain values.

A step names the role as the `type` of its flag, so that one place (`scripts/lib/job.py`) can record every job: what
went in, what came out, under which settings.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# How much of a machine to take, and where to show progress: no result depends on them, so no comparison looks at them.
# `root` is where an image set lies; its index says what lies there.
MACHINE = frozenset({"threads", "devices", "nodes", "accelerator", "root", "watch_folder", "log", "code", "stop_after"})


def input_file(text: str) -> Path:
    """Type of a flag that names a file, or of several each, which another step made."""
    return Path(text)


def optional_input(text: str) -> Path | None:
    """Type of the same where an empty text means that there is none."""
    return Path(text) if text else None


def outside_data(text: str) -> str:
    """Type of a flag that names a file or folder from outside the workflow; empty: none."""
    return text


def named_data(text: str) -> str:
    """Type of a flag of the form `name=path`, where the path is of such data, or of a result."""
    return text


def output_file(text: str) -> Path:
    """Type of a flag that names a file to write."""
    return Path(text)


def varying_file(text: str) -> Path:
    """Type of a flag that names a file to write which differs between two runs by nature: it holds times or hosts."""
    return Path(text)


@dataclass
class Roles:
    """A step's flags, sorted by what they are to it."""

    inputs: list[tuple[str, Path]] = field(default_factory=list)  # flag, path; in the order of the command line
    outside: list[tuple[str, Path]] = field(default_factory=list)
    outputs: list[tuple[str, Path]] = field(default_factory=list)
    varying: set[Path] = field(default_factory=set)  # those of the outputs
    values: dict[str, Any] = field(default_factory=dict)  # all that a result may depend on and that is no file


def sort_flags(parser: argparse.ArgumentParser, given: argparse.Namespace) -> Roles:
    """Return the roles of the flags in `given`, in the order in which the parser knows them."""
    roles = Roles()
    for action in parser._actions:
        value = getattr(given, action.dest, None)
        places = [_place(action, each) for each in _each(value)] if action.type in _FILES else []
        flag = action.dest.replace("_", "-")
        if action.type in (input_file, optional_input):
            roles.inputs += [(flag, place) for place in places]
        elif action.type in (outside_data, named_data):
            roles.outside += [(flag, place) for place in places]
        elif action.type in (output_file, varying_file):
            roles.outputs += [(flag, place) for place in places]
            roles.varying |= set(places) if action.type is varying_file else set()
        elif action.dest not in MACHINE | {"help"}:
            roles.values[flag] = value
    return roles


_FILES = (input_file, optional_input, outside_data, named_data, output_file, varying_file)


def _place(action: argparse.Action, value: str | Path) -> Path:
    return Path(str(value).partition("=")[2] if action.type is named_data else value)


def _each(value: Any) -> Iterator[str | Path]:
    for each in value if isinstance(value, list | tuple) else [value]:
        if each:
            yield each
