"""A copy of a run in which faults are planted, and from which each is taken away again.

No byte of the run itself can change: a result and its second name under records/kept/ are one file on the disk, so the
copy makes files of its own and links these.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.audit import verify as verifying
from scripts.audit.configuration import check_configuration
from scripts.audit.findings import Finding
from scripts.audit.integrity import digests
from scripts.audit.lineage import SOURCES, closure
from scripts.audit.planned import PlannedJob
from scripts.audit.run_folder import RunFolder, files_below
from scripts.lib.errors import UserError
from scripts.lib.files import write_json
from scripts.lib.records import KEPT, RECORDS, RESULTS, Record, identity, record_digest
from scripts.lib.seal import seal_of

LARGEST = 10 * 1024**3  # bytes of a run that is copied
CODE = ("scripts", "envs", "requirements.lock")


@dataclass
class CopiedRun:
    """A copy of a run.

    Attributes:
        folder: where it lies.
        checkout: the code to compare with.
        plan: what the configuration plans.
    """

    folder: Path
    checkout: Path
    plan: list[PlannedJob]
    _saved: dict[Path, tuple[bytes, os.stat_result] | None] = field(default_factory=dict)
    _undo: list[Callable[[], object]] = field(default_factory=list)

    @classmethod
    def make(cls, run: Path, target: Path, checkout: Path, plan: Sequence[PlannedJob]) -> CopiedRun:
        """Copy results and records.

        Raises:
            UserError: the run is too large to be copied.
        """
        size = sum(path.stat().st_size for path in files_below(run / RESULTS))
        if size > LARGEST:
            raise UserError(
                f"the results of {run.resolve()} are {size:,} bytes; the self-test copies them and takes at most "
                f"{LARGEST:,}. Run it on the demo: it tests the audit, not the run"
            )
        skip = shutil.ignore_patterns("audit")
        shutil.copytree(run / RESULTS, target / RESULTS, ignore=skip)
        shutil.copytree(run / RECORDS, target / RECORDS)
        copied = cls(target.resolve(), checkout, list(plan))
        for second in list(files_below(copied.folder / KEPT)):
            copied.link(second)
        return copied

    def link(self, second: Path) -> None:
        """Make a file below records/kept/ the second name of its result again."""
        first = self.folder / RESULTS / second.relative_to(self.folder / KEPT)
        if first.is_file():
            second.unlink(missing_ok=True)
            os.link(first, second)

    def verify(self, left_out: Sequence[str] = ()) -> list[Finding]:
        """Return what `verify` says of the copy as it is."""
        return verifying.verify(
            self.folder, [SOURCES, *left_out], lambda run: check_configuration(run, self.plan), self.checkout, ""
        )[0]

    def read(self) -> RunFolder:
        """Return its records as they are."""
        return RunFolder.read(self.folder)

    def bytes_of(self, path: str) -> bytes:
        """Return a file's bytes."""
        return (self.folder / path).read_bytes()

    def write(self, path: str, content: bytes, *, keep_times: bool = False) -> None:
        """Change a file where it lies, so that its second name changes with it."""
        place = self.folder / path
        self._save(place)
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("r+b" if place.is_file() else "wb") as handle:
            handle.write(content)
            handle.truncate()
        saved = self._saved[place]
        if keep_times and saved is not None:
            os.utime(place, ns=(saved[1].st_atime_ns, saved[1].st_mtime_ns))

    def remove(self, path: str) -> None:
        """Remove a file; its second name stays."""
        self._save(self.folder / path)
        (self.folder / path).unlink()

    def _save(self, place: Path) -> None:
        if place not in self._saved:
            self._saved[place] = (place.read_bytes(), place.stat()) if place.is_file() else None

    def later(self, undo: Callable[[], object]) -> None:
        """Have something done when the fault is taken away."""
        self._undo.append(undo)

    def undo(self) -> None:
        """Take away what was planted."""
        for place, saved in self._saved.items():
            if saved is None:
                place.unlink(missing_ok=True)
                continue
            with place.open("r+b" if place.is_file() else "wb") as handle:
                handle.write(saved[0])
                handle.truncate()
            os.utime(place, ns=(saved[1].st_atime_ns, saved[1].st_mtime_ns))
            if place.is_relative_to(self.folder / RESULTS):
                second = self.folder / KEPT / place.relative_to(self.folder / RESULTS)
                if second.is_file() and not second.samefile(place):
                    self.link(second)
        self._saved.clear()
        while self._undo:
            self._undo.pop()()

    def record(self, job: str) -> Record:
        """Return the record of a job."""
        found: Record = json.loads(self.bytes_of(f"{RECORDS}/{job}.json"))
        return found

    def write_record(self, job: str, record: Record, *, with_identity: bool) -> None:
        """Write a record, with the identity and the digest that it has or those that its content gives."""
        if with_identity:
            record["identity"] = identity(record)
            record["digest"] = record_digest(record)
        text = json.dumps(record, sort_keys=True, indent=2, ensure_ascii=False) + "\n"
        self.write(f"{RECORDS}/{job}.json", text.encode())

    def forge(self, path: str, content: bytes) -> None:
        """Change a result and make all records fit it, the seal too: only what the results say can show it."""
        name = path.removeprefix(f"{RESULTS}/")
        run = self.read()
        self.write(path, content)
        digest = str(digests([self.folder / path])[self.folder / path])
        for job in run.jobs:
            record = self.record(job)
            touched = [each for each in (*record["outputs"], *record["inputs"]) if each["path"] == path]
            for each in touched:
                each |= {"sha256": digest, "bytes": len(content)}
            if touched:
                self.write_record(job, record, with_identity=True)
        assert name in run.makers
        self.seal()

    def seal(self) -> None:
        """Write the seal that the records give."""
        place = self.folder / RECORDS / "seal.json"
        sealed: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
        self._save(place)
        jobs, _ = closure(self.read(), sealed["targets"])
        write_json(place, sealed | {"seal": seal_of(jobs), "jobs": len(jobs)})

    def edited_checkout(self, target: Path) -> Path:
        """Have the audit compare with a copy of the code, to be edited there, until the fault is taken away."""
        before = self.checkout
        for name in CODE:
            if (before / name).is_dir():
                shutil.copytree(before / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                target.mkdir(parents=True, exist_ok=True)
                shutil.copy(before / name, target / name)
        self.checkout = target

        def back() -> None:
            self.checkout = before
            shutil.rmtree(target)

        self.later(back)
        return target
