"""Circumstances that no result may depend on, each set to something other than when the job was recorded.

After the idea of reprotest and `nix-build --check`. The clock needs no variation of its own: the recorded run has
happened at another time.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scripts.lib.fingerprint import ROOT
from scripts.lib.job import REMAKE
from scripts.lib.records import Record

ELSEWHERE = Path(__file__).resolve().parent / "elsewhere"

# Variables that set how many threads floating-point libraries take, and which instructions.
_COMPUTING = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA")


@dataclass
class Circumstances:
    """How a process is started."""

    folder: Path  # where it works: always another one than the recorded run's
    environment: dict[str, str]
    umask: int
    threads: int | None  # for its flag --threads; None: it has none
    cores: int  # that it may run on
    other_order: bool = False  # inputs are laid out last first
    temporary: list[Path] = field(default_factory=list)  # folders to be removed afterwards


def _home(to: Circumstances, record: Record) -> None:
    to.environment["HOME"] = tempfile.mkdtemp(prefix="audit höme ")
    to.temporary.append(Path(to.environment["HOME"]))


def _user(to: Circumstances, record: Record) -> None:
    to.environment |= {"USER": "auditor", "LOGNAME": "auditor", "USERNAME": "auditor"}


def _time_zone(to: Circumstances, record: Record) -> None:
    to.environment["TZ"] = "<-1130>11:30"  # half an hour off, in POSIX's own form: it needs no table of zones


def _locale(to: Circumstances, record: Record) -> None:
    # Python would go over to UTF-8 by itself in the locale C: text that is read without a named encoding is then ASCII.
    to.environment |= {"LC_ALL": "POSIX", "LANG": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


def _umask(to: Circumstances, record: Record) -> None:
    to.umask = 0o077


def _hash_seed(to: Circumstances, record: Record) -> None:
    was = record["circumstances"].get("variables", {}).get("PYTHONHASHSEED")
    to.environment["PYTHONHASHSEED"] = "4242" if was != "4242" else "2424"


def _temporary_folder(to: Circumstances, record: Record) -> None:
    # Sockets of loader processes are made there, and their paths may have 108 characters.
    to.environment["TMPDIR"] = tempfile.mkdtemp(prefix="audit ")
    to.temporary.append(Path(to.environment["TMPDIR"]))


def _terminal(to: Circumstances, record: Record) -> None:
    to.environment |= {"COLUMNS": "37", "TERM": "dumb", "NO_COLOR": "1"}


def _listing_order(to: Circumstances, record: Record) -> None:
    to.environment["PYTHONPATH"] = f"{ELSEWHERE}{os.pathsep}{to.environment['PYTHONPATH']}"


def _input_order(to: Circumstances, record: Record) -> None:
    to.other_order = True


def _strangers(to: Circumstances, record: Record) -> None:
    to.environment |= {"PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "agg", "UNPEOPLED_STRANGER": "x" * 1000}


def _threads(to: Circumstances, record: Record) -> None:
    if to.threads is not None:
        to.threads = 3 if to.threads != 3 else 1
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        to.environment[name] = "2" if to.environment.get(name) == "1" else "1"


def _cores(to: Circumstances, record: Record) -> None:
    to.cores = 1


Vary = Callable[[Circumstances, Record], None]
VARIATIONS: Mapping[str, Vary] = {
    "home": _home,
    "user": _user,
    "time zone": _time_zone,
    "locale": _locale,
    "umask": _umask,
    "hash seed": _hash_seed,
    "temporary folder": _temporary_folder,
    "terminal": _terminal,
    "listing order": _listing_order,
    "input order": _input_order,
    "other variables": _strangers,
    "threads": _threads,
    "cores": _cores,
}
# Bits of floating-point results may depend on these, so they stay as recorded for steps of class A/hw.
OF_HARDWARE = ("threads", "cores")


def vary(
    record: Record, folder: Path, names: Sequence[str], threads: int | None, *, of_hardware: bool
) -> Circumstances:
    """Return how to start a recorded job in `folder`: as it was recorded, but for the variations of `names`.

    Args:
        record: of the job.
        folder: an empty one.
        names: of `VARIATIONS`.
        threads: with which it was recorded.
        of_hardware: whether its bits may depend on the machine.
    """
    was = record["circumstances"].get("variables", {})
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "UNPEOPLED_"))}
    for name in _COMPUTING:
        environment.pop(name, None)
        if name in was:
            environment[name] = was[name]
    environment |= {"PYTHONPATH": str(ROOT), REMAKE: "1"}
    result = Circumstances(folder, environment, umask=0o022, threads=threads, cores=os.cpu_count() or 1)
    for name in names:
        if not (of_hardware and name in OF_HARDWARE):
            VARIATIONS[name](result, record)
    return result
