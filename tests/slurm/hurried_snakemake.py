"""Snakemake whose SLURM executor looks at its jobs each second: `python -m tests.slurm.hurried_snakemake ARGUMENTS`.

The executor waits 40 to 180 seconds between looks, as is right on a cluster that many share, and before each it asks
for SLURM's configuration, with ten seconds' patience; a machine that many tests share may need longer, and the executor
would go over to `sacct`, which has nothing to say here. So it asks once. Nothing else is changed, and the jobs
themselves run the ordinary Snakemake.
"""

from __future__ import annotations

import asyncio
import sys

import snakemake_executor_plugin_slurm as executor_plugin
from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

LONGEST_WAIT = 1.0  # seconds
MIN_JOB_AGE = 3000  # seconds for which the test cluster remembers a job that has ended


async def wait_briefly(executor: RemoteExecutor) -> None:
    """Wait as long as the executor wants to, a second at most."""
    await asyncio.sleep(min(LONGEST_WAIT, float(executor.next_seconds_between_status_checks)))


if __name__ == "__main__":
    RemoteExecutor.sleep = wait_briefly
    executor_plugin.get_min_job_age = lambda: MIN_JOB_AGE
    main(sys.argv[1:])
