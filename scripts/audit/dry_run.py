"""Dry-run a workflow in a process of its own: a request (JSON) in stdin, its jobs (JSON) in stdout. See `planned.py`.

Imports nothing of ours: the Snakefile brings the modules of its own checkout.
"""

from __future__ import annotations

import json
import logging
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

MANY_CORES = 1 << 20  # more than any rule asks for: threads stay as the rules state them


class JobReader(logging.Handler):
    """Keeps what Snakemake tells its loggers of each job that has a command."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a job."""
        if getattr(record, "event", None) == "job_info" and getattr(record, "shellcmd", None):
            told = record.__dict__
            wildcards = {str(name): str(value) for name, value in told["wildcards"].items()}
            inputs, outputs = ([str(path) for path in told[name]] for name in ("input", "output"))
            self.jobs.append(
                {
                    "rule": told["rule_name"],
                    "wildcards": wildcards,
                    "inputs": inputs,
                    "outputs": outputs,
                    "command": told["shellcmd"],
                }
            )


def read_jobs(request: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the jobs that the request's workflow would run."""
    from snakemake.api import SnakemakeApi
    from snakemake.logging import logger
    from snakemake.settings.types import (
        ConfigSettings,
        DAGSettings,
        ExecutionSettings,
        OutputSettings,
        ResourceSettings,
    )

    reader = JobReader()
    with SnakemakeApi(OutputSettings(dryrun=True)) as snakemake:
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
        logger.addHandler(reader)
        workflow = snakemake.workflow(
            resource_settings=ResourceSettings(cores=MANY_CORES),
            config_settings=ConfigSettings(
                config=request["config"], configfiles=[Path(path) for path in request["configfiles"]]
            ),
            snakefile=Path(request["snakefile"]),
            workdir=Path(request["directory"]),
        )
        dag = workflow.dag(DAGSettings(targets=request["targets"], forceall=True))
        # lock=False: a plan can be read while a run is under way
        dag.execute_workflow(
            executor="dryrun", execution_settings=ExecutionSettings(lock=False, ignore_incomplete=True)
        )
    return reader.jobs


if __name__ == "__main__":
    from snakemake.exceptions import RuleException, WorkflowError

    with redirect_stdout(sys.stderr):
        try:
            found = read_jobs(json.load(sys.stdin))
        except (WorkflowError, RuleException) as error:
            sys.exit(str(error))
    json.dump(found, sys.stdout)
