"""The life of one job: it holds a lease, knows its inputs, computes only what is not there, and leaves a record.

`run_step` gives every step this life when it is a process of its own; docs/reruns.md says it in words.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scripts.lib import records
from scripts.lib.circumstances import circumstances
from scripts.lib.errors import UserError
from scripts.lib.files import remove_leftovers, sha256_file
from scripts.lib.fingerprint import PACKAGE, ROOT, code_hash
from scripts.lib.flags import Roles, sort_flags
from scripts.lib.kept import folder_listing, keep, put_back, sha256_files
from scripts.lib.lease import leased
from scripts.lib.records import Code, Record, record_path, result_name

log = logging.getLogger(__name__)

PLANNED = "UNPEOPLED_PLANNED"  # when the workflow read our code, in seconds since 1970; the Snakefile sets it
ASIDE = ".before"  # of a result that its user moved aside, so that the step makes it anew
REMAKE = "UNPEOPLED_REMAKE"  # "1": compute also what is there already


class Job:
    """One run of a step. `begin` with its flags, then `finish`; closing `held` frees its lease, however it ended."""

    def __init__(self, step: str) -> None:
        self.step = step
        self.held = ExitStack()
        self.started = datetime.now(UTC)
        self.threads: int | None = None
        self.record: Record | None = None
        self.varying: set[Path] = set()
        self.stats: dict[str, tuple[int, ...]] = {}

    def begin(self, parser: argparse.ArgumentParser, given: argparse.Namespace, *, asks_outside: bool) -> None:
        """Take the lease, hash the inputs, and end the process where the outputs are there already.

        Args:
            parser: that of the step, whose flags say what they are (`scripts/lib/flags.py`).
            given: what it found on the command line.
            asks_outside: whether the step's result depends on more than its flags say.

        Raises:
            UserError: an input is not what the step that made it recorded.
            SystemExit: nothing has to be computed.
        """
        roles = sort_flags(parser, given)
        names = [result_name(path) for _, path in roles.outputs]
        if not names or None in names or _rank() > 0:
            return  # a run by hand that writes elsewhere, or a helper of the process that records
        first = str(names[0])
        self.held.enter_context(leased(records.LEASES / first, f"results/{first}"))
        self.threads, self.varying = getattr(given, "threads", None), roles.varying
        planned = _true_code(Code.parse(given.code))
        self.record = {
            "format": records.FORMAT,
            "step": self.step,
            "argv": sys.argv[1:],  # for whoever runs the job again: scripts/audit/commands.py
            "values": {name: _plain(value) for name, value in sorted(roles.values.items())},
            "code": {"text": planned.text, "environment": planned.environment, "modules": list(planned.modules)},
            "inputs": self._hashed(roles),
            "outputs": [{"flag": flag, "path": path.as_posix()} for flag, path in roles.outputs],
        }
        self.record["seeds"] = records.seeds(self.record["values"])
        before = records.read_record(first)
        aside = any(path.with_name(f"{path.name}{ASIDE}").exists() for _, path in roles.outputs)
        may_stay = planned.text and not (asks_outside or aside) and os.environ.get(REMAKE) != "1"
        if before is not None and may_stay and comparable(before) == comparable(self.record) and put_back(before):
            log.info("nothing that this step reads has changed since it ran: its results stay (%s=1 computes)", REMAKE)
            raise SystemExit(0)
        for name in names:
            record_path(str(name)).unlink(missing_ok=True)  # what it says does not hold from here on
            remove_leftovers(records.RESULTS / str(name))

    def _hashed(self, roles: Roles) -> list[dict[str, Any]]:
        files = [(flag, path) for flag, path in roles.inputs if path.is_file()]
        given = [(flag, path) for flag, path in roles.outside if path.exists()]
        single = [*files, *((flag, path) for flag, path in given if path.is_file())]
        # Before the bytes are read: what changes a file from here on must show in `finish`.
        self.stats = {path.as_posix(): _stat(path) for _, path in single}
        digests = dict(zip([path for _, path in single], sha256_files([path for _, path in single]), strict=True))
        entries = []
        for flag, path in [*files, *given]:
            entry: dict[str, Any] = {"flag": flag, "path": path.as_posix()}
            if path in digests:
                entry |= {"sha256": digests[path], "bytes": path.stat().st_size}
                maker = self._refuse_changed(path, digests[path])
                entry |= {"varying": True} if maker.get("varying") else {}
            else:
                entry |= {"sha256": "", "folder": True, "listing": folder_listing(path)}
            entries.append(entry)
        return entries

    @staticmethod
    def _refuse_changed(path: Path, digest: str) -> dict[str, Any]:
        name = result_name(path)
        maker = records.read_record(name) if name else None
        if name is None or maker is None:
            return {}
        left: dict[str, Any] = next(each for each in maker["outputs"] if result_name(each["path"]) == name)
        if left["sha256"] != digest:
            raise UserError(
                f"{path} is not the file that {maker['step']} left: its SHA-256 is {digest[:16]}..., recorded was "
                f"{left['sha256'][:16]}... It was changed afterwards: by hand, by another program, or by the disk. "
                f"Nothing is built on it. Have it made again: snakemake --forcerun {path} (with your other flags)"
            )
        return left

    def finish(self) -> None:
        """Check the inputs again, hash the outputs, keep a second name of each, and write the record.

        Raises:
            UserError: an input was changed while the step ran, or an output is missing.
        """
        if self.record is None:
            return
        for entry in self.record["inputs"]:
            path = Path(entry["path"])
            after = entry.get("sha256")
            if entry["path"] in self.stats and _stat(path) != self.stats[entry["path"]]:
                after = sha256_file(path) if path.is_file() else "gone"
            if after != entry["sha256"]:
                raise UserError(
                    f"{path} changed while this step read it, so that its results are of neither the old nor the "
                    "other file: they are not recorded. Let nothing write to the inputs of a run, then run again"
                )
        planned = Code.parse(self.record["code"]["text"])
        ran = _true_code(planned)
        if ran != planned:
            raise UserError("the code of this step was changed while it ran: its results are not recorded. Run again")
        files = sorted(Path(module.__file__).resolve() for module in _ours())
        self.record["code"]["files"] = {path.relative_to(ROOT).as_posix(): sha256_file(path) for path in files}
        self._hash_outputs(self.record["outputs"])
        ended = datetime.now(UTC)
        self.record["circumstances"] = {
            "started": self.started.isoformat(timespec="milliseconds"),
            "ended": ended.isoformat(timespec="milliseconds"),
            **circumstances(self.threads),
        }
        self.record["identity"] = records.identity(self.record)
        self.record["digest"] = records.record_digest(self.record)
        records.write_record(self.record)

    def _hash_outputs(self, outputs: list[dict[str, Any]]) -> None:
        paths = [Path(each["path"]) for each in outputs]
        missing = [str(path) for path in paths if not path.is_file()]
        if missing:
            raise UserError(
                f"{self.step} ended without an error and left no {', '.join(missing)}: a defect of the step"
            )
        for each, path, digest in zip(outputs, paths, sha256_files(paths), strict=True):
            each.update({"sha256": digest, "bytes": path.stat().st_size})
            each.update({"varying": True} if path in self.varying else {})
            keep(path)


def comparable(record: Record) -> dict[str, Any]:
    """Return what decides whether a job has to be computed again. Where data from outside lies is no part of it."""
    return {
        "step": record["step"],
        "values": record["values"],
        "code": record["code"]["text"],
        "inputs": [
            [each["flag"], result_name(each["path"]) or "", each["sha256"] or each.get("listing")]
            for each in record["inputs"]
        ],
        "outputs": [[each["flag"], each["path"]] for each in record["outputs"]],
    }


def _stat(path: Path) -> tuple[int, ...]:
    with suppress(OSError):
        found = path.stat()
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
    return ()


def _plain(value: Any) -> Any:
    """Return a flag's value for JSON; JSON of an object or list is parsed, so that two can be compared."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        with suppress(ValueError):
            return json.loads(value)
    return value if value is None or isinstance(value, str | int | float | bool | list) else str(value)


def _rank() -> int:
    """Return the number of this process among those that torchrun, Lightning or srun started for one step."""
    names = ("RANK", "LOCAL_RANK", "SLURM_PROCID")  # of an ordinary job's only task it is 0
    return next((int(number) for name in names if (number := os.environ.get(name, "")).isdigit()), 0)


def _ours() -> list[Any]:
    """Return the modules of ours that this process has loaded."""
    ours = f"{ROOT}/scripts/"
    # By name first: resolving the path of each of a thousand modules took most of what recording costs.
    named = [each for name, each in [*sys.modules.items()] if name.partition(".")[0] in (PACKAGE, "__main__")]
    return [each for each in named if os.path.realpath(_file(each)).startswith(ours)]


def _file(module: Any) -> str:
    return str(getattr(module, "__file__", None) or "")


def _true_code(planned: Code) -> Code:
    """Return `planned` with the fingerprint of the files as they are, where one was written since it was planned."""
    limit = float(os.environ.get(PLANNED) or 0)
    found = [Path(_file(each)).stat() for each in _ours()]
    if not planned.text or max(max(each.st_mtime, each.st_ctime) for each in found) < limit:
        return planned
    return planned.with_fingerprint(code_hash(*(f"scripts.{name}" for name in planned.modules)))
