"""Records for everybody's eyes: what a job did and made, without the names of machines, people and places.

A field is published because it is named here, not because nobody thought of leaving it out. Machines and files from
outside get numbers in the order in which they appear, so that a reader sees which jobs shared one. Nothing that a
number stands for can be found out from it, as it could from a digest of a short name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from scripts.lib.records import Record, identity, result_name

WITHHELD = "withheld"

# What of the environment decides about bits. The others say where and in which language somebody works.
_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "PYTHONHASHSEED",
    "CUBLAS_WORKSPACE_CONFIG",
)
_CIRCUMSTANCES = ("started", "ended", "cpu_seconds", "peak_mb", "hardware", "packages", "lock", "libc")
_OF_FILES = ("flag", "sha256", "bytes", "varying", "folder")

# Texts that say where something lies: at the start, or after a blank, a quote, an opening bracket or a separator.
_PLACE = re.compile(
    r"""(?:^|(?<=[\s"'=(\[,;|]))(?:file:|~[\w.-]*/|/(?=[^\s/"',;:]))[^\s"',;|)\]]*|\b[A-Za-z]:\\[^\s"',;|)\]]*"""
)
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_SECRETS = re.compile(r"(?i)([?&][\w.-]*(?:sig|signature|token|key|password|secret|credential|auth)[\w.-]*=)[^&\s\"']+")


class Pseudonyms:
    """Numbers for the machines and for the files from outside, the same in all records of a publication."""

    def __init__(self) -> None:
        self._machines: dict[str, int] = {}
        self._outside: dict[str, int] = {}
        self._places: set[str] = set()  # folders that must not be named, also where a blank is in their names

    def machine(self, host: str) -> int:
        """Return the number of a machine."""
        return self._machines.setdefault(host, len(self._machines) + 1)

    def outside(self, path: str) -> str:
        """Return a place that stands for a path outside the project: `outside/3.csv`. Only the suffix is true."""
        number = self._outside.setdefault(os.path.normpath(path), len(self._outside) + 1)
        suffix = PurePath(path).suffix
        return f"outside/{number}{suffix if re.fullmatch(r'[.][a-z0-9]{1,12}', suffix) else ''}"

    def hide(self, path: str) -> None:
        """Remember a path whose folders are named nowhere."""
        place = PurePath(path)
        self._places |= {str(each) for each in (place, *place.parents) if each.is_absolute() and len(each.parts) > 2}

    def places(self) -> list[str]:
        """Return the hidden places, longest first."""
        return sorted(self._places, key=lambda each: (-len(each), each))

    def hosts(self) -> list[tuple[str, int]]:
        """Return the true names of the machines so far and their numbers, longest first, without their domain too."""
        found = {host.split(".")[0]: number for host, number in self._machines.items()} | self._machines
        return sorted(((name, number) for name, number in found.items() if name), key=lambda each: -len(each[0]))


def publish_records(jobs: Mapping[str, Record]) -> dict[str, Record]:
    """Return the records of a run as they may be published, under the same names."""
    names = Pseudonyms()
    for _, record in sorted(jobs.items()):
        names.machine(str(record.get("circumstances", {}).get("host", "")))
        for each in record["inputs"]:
            names.hide(str(each["path"]))
    for place in (Path.home(), Path.cwd()):
        names.hide(str(place))
    return {name: publish_record(record, names) for name, record in sorted(jobs.items())}


def publish_record(record: Record, names: Pseudonyms) -> Record:
    """Return a record that names no machine, person or place; its identity stays that of the original.

    Where a setting had to be withheld, `withheld` names it: the identity cannot be computed from such a record.
    """
    circumstances = record.get("circumstances", {})
    withheld: list[str] = []
    inputs = [_file(each, names) for each in record["inputs"]]
    values = _cleaned(record["values"], names, withheld, "")
    found: Record = {
        "format": record["format"],
        "step": record["step"],
        "values": values,
        "seeds": {name: value for name, value in record.get("seeds", {}).items() if name not in withheld},
        "code": {
            "text": record["code"]["text"],
            "environment": record["code"].get("environment", ""),
            "modules": record["code"].get("modules", []),
            "files": record["code"].get("files", {}),
        },
        "inputs": inputs,
        "outputs": [_file(each, names) for each in record["outputs"]],
        "identity": identity(record),
        "circumstances": {
            **{name: circumstances[name] for name in _CIRCUMSTANCES if name in circumstances},
            "machine": names.machine(str(circumstances.get("host", ""))),
            "variables": {
                name: value for name, value in circumstances.get("variables", {}).items() if name in _VARIABLES
            },
        },
    }
    return {**found, WITHHELD: withheld} if withheld else found


def _file(entry: Mapping[str, Any], names: Pseudonyms) -> dict[str, Any]:
    path = str(entry["path"])
    name = result_name(path)
    inside = not PurePath(path).is_absolute() and ".." not in PurePath(path).parts and not path.startswith("~")
    place = f"results/{name}" if name else PurePath(path).as_posix() if inside else names.outside(path)
    return {"path": place, **{key: entry[key] for key in _OF_FILES if key in entry}}


def _cleaned(value: Any, names: Pseudonyms, withheld: list[str], where: str) -> Any:
    """Return `value` without places and secrets, and note in `withheld` where something was taken out."""
    if isinstance(value, Mapping):
        return {key: _cleaned(item, names, withheld, f"{where}.{key}".lstrip(".")) for key, item in value.items()}
    if isinstance(value, list):
        return [_cleaned(item, names, withheld, f"{where}.{index}".lstrip(".")) for index, item in enumerate(value)]
    if not isinstance(value, str):
        return value
    text = clean_text(value, names)
    if text != value:
        withheld.append(where)
    return text


def clean_text(text: str, names: Pseudonyms) -> str:
    """Return a text with stand-ins for places on a machine, for machines, and for what opens doors."""
    if _PLACE.match(text) and "\n" not in text:
        return names.outside(text)  # all of it is a path, whatever is in its name
    for place in (each for each in names.places() if each in text):
        text = re.sub(rf"{re.escape(place)}(?![\w-])[^\s\"',;|)\]]*", lambda found: names.outside(found[0]), text)
    text = _PLACE.sub(lambda found: names.outside(found[0]), text)
    text = _SECRETS.sub(r"\1withheld", _CREDENTIALS.sub("withheld@", text))
    for host, number in ((name, number) for name, number in names.hosts() if name in text):
        text = re.sub(rf"(?<![\w.-]){re.escape(host)}(?![\w-])", f"machine-{number}", text)
    return text
