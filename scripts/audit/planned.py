"""`planned_jobs`: what Snakemake would run for a configuration, as data.

Inputs and outputs come in the order in which a rule names them and the command as the list of its arguments, so that a
record of a job can be compared with what the rules ask today. A process of its own does the reading (`dry_run.py`):
Snakemake changes the working directory, the search path and the logging of the process that it runs in, and the code of
the checkout whose Snakefile is read must not mix with that of the caller.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.lib.errors import UserError

DRY_RUN = Path(__file__).with_name("dry_run.py")


@dataclass(frozen=True)
class PlannedJob:
    """One job.

    Attributes:
        rule: name of its rule.
        wildcards: their values, in the order of the rule.
        inputs: what it reads, in the order in which the rule names it.
        outputs: what it writes, likewise.
        argv: its command, without the redirection into the log file.
        log: where the command's output goes, "" for nowhere.
    """

    rule: str
    wildcards: Mapping[str, str]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    argv: tuple[str, ...]
    log: str

    @property
    def settings(self) -> tuple[str, ...]:
        """Return the arguments that are no input and no output: flags, recipe, wildcards."""
        files = {*self.inputs, *self.outputs}
        return tuple(word for word in self.argv if word not in files and word.partition("=")[2] not in files)


def planned_jobs(
    snakefile: Path,
    directory: Path,
    *,
    configfiles: Sequence[Path] = (),
    config: Mapping[str, object] | None = None,
    targets: Sequence[str] = (),
) -> list[PlannedJob]:
    """Return all jobs that make `targets` out of nothing, sorted by their outputs.

    Nothing is run or written but Snakemake's own folder `.snakemake`; what lies in `directory` counts only where the
    rules ask for data from outside. Threads are those that the rules state, whatever this machine has.

    Args:
        snakefile: the Snakefile of a checkout.
        directory: the working directory that its paths are relative to.
        configfiles: what lies over `config.yaml`, as `--configfile`.
        config: values over these, as `--config`.
        targets: files or rules; empty for the default.
    """
    request = {
        "snakefile": str(snakefile.resolve()),
        "directory": str(directory.resolve()),
        "configfiles": [str(path.resolve()) for path in configfiles],
        "config": dict(config or {}),
        "targets": list(targets),
    }
    # -P: the folder of the script is no place to import from
    ended = subprocess.run(
        [sys.executable, "-P", str(DRY_RUN)], input=json.dumps(request), capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise UserError(f"the workflow {snakefile} cannot be planned in {directory}: {_last_words(ended.stderr)}")
    jobs = [_job(found) for found in json.loads(ended.stdout)]
    return sorted(jobs, key=lambda job: job.outputs)


def _last_words(text: str) -> str:
    return " ".join(text.strip().splitlines()[-20:]) or "it ended without a word"


def _job(found: dict[str, object]) -> PlannedJob:
    argv, log = _without_log(shlex.split(str(found["command"])))
    inputs, outputs, wildcards = found["inputs"], found["outputs"], found["wildcards"]
    assert isinstance(inputs, list) and isinstance(outputs, list) and isinstance(wildcards, dict)
    return PlannedJob(str(found["rule"]), wildcards, tuple(inputs), tuple(outputs), tuple(argv), log)


def _without_log(words: list[str]) -> tuple[list[str], str]:
    """Return a command without its `> log 2>&1`, and that log."""
    redirected = len(words) > 3 and words[-3] == ">" and words[-1] == "2>&1"
    return (words[:-3], words[-2]) if redirected else (words, "")
