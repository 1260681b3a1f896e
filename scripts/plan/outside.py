"""What lies outside the workflow: the process environment of the steps, and data that may or may not be there."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from scripts.lib.job import PLANNED

_END = 512 * 1024  # bytes


def make_steps_runnable(checkout: str | os.PathLike[str]) -> None:
    """Let `python -m scripts.<stage>.<step>` run with this interpreter from any working directory (`--directory`).

    Set in the environment, because the jobs inherit it; a job on another node reads the Snakefile again and sets its
    own. An activated conda environment comes first in PATH and so wins.
    """
    _put_first("PYTHONPATH", str(checkout))
    _put_first("PATH", str(Path(sys.executable).parent))
    os.environ[PLANNED] = str(time.time())


def _put_first(variable: str, folder: str) -> None:
    others = (entry for entry in os.environ.get(variable, "").split(os.pathsep) if entry and entry != folder)
    os.environ[variable] = os.pathsep.join([folder, *others])


def stamp(paths: Iterable[str]) -> str:
    """Return a digest of data from outside: Snakemake looks at the time alone, and a copy may keep an old one.

    It is of each file's size and bytes, of a large one's first and last 512 KiB; a folder counts by its presence, and
    what a rule makes not at all. A moved, copied or touched file keeps its stamp.
    """
    digest = hashlib.sha256()
    for path in (Path(each) for each in paths if each and not each.startswith("results/")):
        if path.is_file():
            digest.update(_ends(path, path.stat().st_size, path.stat().st_mtime_ns))
        digest.update(b"\0" if path.exists() else b"\1")
    return digest.hexdigest()[:16]


@cache
def _ends(path: Path, size: int, changed: int) -> bytes:
    """Return size, first and last bytes of a file; `changed` is there for the cache alone."""
    with path.open("rb") as handle:
        first = handle.read(_END)
        handle.seek(max(len(first), size - _END))
        return hashlib.sha256(str(size).encode() + first + handle.read(_END)).digest()


def present(*paths: str | None) -> list[str]:
    """Return those paths that exist.

    Data from outside becomes an input, and so a reason to rerun, where it lies there; where it does not, planning still
    works, and the first step that needs it says what is missing and where to put it.
    """
    return [path for path in paths if path and Path(path).exists()]
