"""Run one recorded job again: its code checked, its inputs checked and laid out in a folder of its own."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from scripts.audit.commands import UndecidableError, command_of
from scripts.audit.variations import Circumstances
from scripts.lib.files import sha256_file
from scripts.lib.fingerprint import code_hash
from scripts.lib.kept import folder_listing
from scripts.lib.pins import pins_digest
from scripts.lib.records import KEPT, RECORDS, RESULTS, Code, Record, read_record, result_name

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ended:
    """How a job that was run again ended."""

    status: int
    said: str  # its last lines
    folder: Path

    def record(self, name: str) -> Record | None:
        """Return the record that it left of the result `name`."""
        return read_record(name, self.folder / RECORDS)


def check_code(record: Record) -> None:
    """Refuse a job whose code or pinned packages are not those of this checkout.

    Raises:
        UndecidableError: they are not, or the record does not say.
    """
    code = Code.parse(record["code"]["text"])
    if not code.fingerprint or not code.modules:
        raise UndecidableError("its record names no code: it was run by hand, without --code")
    try:
        found = _fingerprint(code.modules)
    except (OSError, SyntaxError) as error:
        raise UndecidableError(f"its code is not in this checkout ({error})") from None
    if found != code.fingerprint:
        raise UndecidableError(
            f"its code is {code.fingerprint} on record and {found} in this checkout: audit with the commit that made it"
        )
    _, _, pins = code.environment.partition(":")
    name, _, digest = pins.partition(":")
    with suppress(OSError):
        if name and digest != pins_digest(name):
            raise UndecidableError(f"envs/{name}.yaml pins other packages than those on record")


@cache
def _fingerprint(modules: tuple[str, ...]) -> str:
    return code_hash(*(f"scripts.{name}" for name in modules))


@cache
def _digest(path: Path, size: int, time: int) -> str:
    return sha256_file(path)


def digest_of(path: Path) -> str:
    """Return a file's SHA-256, computed once while nothing writes to it."""
    found = path.stat()
    return _digest(path, found.st_size, found.st_mtime_ns)


def recorded_file(run: Path, name: str, sha256: str) -> Path | None:
    """Return a file of a run that still has the digest on record: in its place, or under its second name."""
    for path in (run / RESULTS / name, run / RECORDS / KEPT.name / name):
        if path.is_file() and digest_of(path) == sha256:
            return path
    return None


def lay_inputs(record: Record, run: Path, folder: Path, *, last_first: bool = False) -> None:
    """Give the inputs of a job the same names below `folder`, as links, after a look at their bytes.

    Raises:
        UndecidableError: one is lost or is not what it was.
    """
    for entry in reversed(record["inputs"]) if last_first else record["inputs"]:
        name, path = result_name(entry["path"]), run / entry["path"]
        if entry.get("folder"):
            if not path.is_dir() or folder_listing(path) != entry.get("listing"):
                raise UndecidableError(f"the folder {entry['path']} that it read is gone or was written to since")
            continue
        source = path if name is None else recorded_file(run, name, entry["sha256"])
        if source is None or not source.is_file() or digest_of(source) != entry["sha256"]:
            raise UndecidableError(f"its input {entry['path']} is lost or not what it read; `verify` says more")
        if name is not None:
            place = folder / RESULTS / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(source.absolute())


def run_again(record: Record, run: Path, to: Circumstances, *, stop_after: int = 0) -> Ended:
    """Run a recorded job in the folder and under the circumstances of `to`, into which `lay_inputs` has put its inputs.

    Raises:
        UndecidableError: its record is not enough for that.
    """
    machine = {} if to.threads is None else {"threads": to.threads}
    command = command_of(record, run.absolute(), **machine, **({"stop_after": stop_after} if stop_after else {}))
    (to.folder / "logs").mkdir(exist_ok=True)
    for entry in record["outputs"]:
        (to.folder / entry["path"]).parent.mkdir(parents=True, exist_ok=True)  # as Snakemake does before a job
    with subprocess.Popen(
        command,
        cwd=to.folder,
        env=to.environment,
        umask=to.umask,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        if to.cores < (os.cpu_count() or 1):
            with suppress(OSError):  # before it has imported anything that starts threads
                os.sched_setaffinity(process.pid, sorted(os.sched_getaffinity(0))[: to.cores])
        said, _ = process.communicate()
    for place in to.temporary:
        shutil.rmtree(place, ignore_errors=True)
    return Ended(process.returncode, "\n".join(said.strip().splitlines()[-12:]), to.folder)
