"""What a run of the workflow must leave, found without records, leases or Snakemake's memory: for tests of reruns.

Every job that the rules plan is run by its own command in a folder of its own, once for each distinct command and bytes
of its inputs. So the oracle knows which jobs an edit makes different ones, and what each has to leave.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from scripts.audit.planned import PlannedJob, planned_jobs
from scripts.audit.why import in_order, label
from scripts.lib.flags import MACHINE

VARYING = ("cost.json", "write_model_card/")  # differ between two runs by nature: docs/decisions.md#119


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def counted(job: PlannedJob) -> tuple[str, ...]:
    """Return those words of a job's command that its results may depend on: no threads, no log, no folder to watch."""
    words, skipped = [], False
    for word in job.argv[job.argv.index("-m") + 1 :]:
        if word.startswith("--"):
            skipped = word[2:].partition("=")[0].replace("-", "_") in MACHINE - {"code"}
        if not skipped:
            words.append(word)
    return tuple(words)


class Oracle:
    """Knows all jobs that it ever ran. `bytes` are kept by their digest."""

    def __init__(self, folder: Path) -> None:
        self.store, self.scratch = folder / "store", folder / "scratch"
        self.store.mkdir(parents=True)
        self.made: dict[tuple[object, ...], dict[str, str]] = {}
        self.keys: dict[str, tuple[object, ...]] = {}  # first output → what its job was, at the last look

    def look(self, root: Path, scale: Path, outside: Path, adopt: bool = False) -> tuple[set[str], dict[str, str]]:
        """Return which jobs differ from the last look (their first outputs), and result → digest of all there must be.

        `outside` is the working directory of the run that is judged: data from outside is relative to it.
        With `adopt`, what that run has left is believed to be right, so that only edits of it are judged.
        """
        jobs = in_order(planned_jobs(root / "Snakefile", outside, configfiles=[scale]))
        results: dict[str, str] = {}
        keys: dict[str, tuple[object, ...]] = {}
        for job in jobs:
            given = [results[path] if path in results else sha256(outside / path) for path in job.inputs]
            key = (counted(job), tuple(given))
            if key not in self.made:
                self.made[key] = self._take(job, outside) if adopt else self._run(job, root, results, outside)
            results |= self.made[key]
            keys[job.outputs[0]] = key
        changed = {name for name, key in keys.items() if self.keys.get(name) != key}
        self.keys = keys
        return changed, {path: digest for path, digest in results.items() if not any(name in path for name in VARYING)}

    def _run(self, job: PlannedJob, root: Path, results: dict[str, str], outside: Path) -> dict[str, str]:
        shutil.rmtree(self.scratch, ignore_errors=True)
        for path in job.inputs:
            target = self.scratch / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.store / results[path] if path in results else outside / path, target)
        for path in job.outputs:
            (self.scratch / path).parent.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, *job.argv[1:]]  # the environment of the tests, whatever PATH says
        ended = subprocess.run(command, cwd=self.scratch, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, f"{label(job)}: {ended.stdout}{ended.stderr}"
        return self._take(job, self.scratch)

    def _take(self, job: PlannedJob, folder: Path) -> dict[str, str]:
        left = {path: sha256(folder / path) for path in job.outputs}
        for path, digest in left.items():
            shutil.copy(folder / path, self.store / digest)
        return left
