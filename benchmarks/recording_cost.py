"""What it costs to record jobs: the share of a run's processor time that goes into leases, digests and records.

Every job of a finished run is computed again in a copy of its folder, as its rule calls it, one after the other. In
each process `Job.begin` and `Job.finish` (`scripts/lib/job.py`) and the import of that module are measured by the
processor's clock; the whole is what the process and its children used. `ratio` is 2 % over the share found: below 1,
recording costs more than the project allows itself.

    python -m benchmarks.recording_cost --run <folder of a finished demo> --configfile scales/demo.yaml
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from scripts.audit.planned import planned_jobs
from scripts.audit.why import in_order
from scripts.lib.job import PLANNED, REMAKE

ROOT = Path(__file__).resolve().parents[1]
ALLOWED = 0.02
BEGAN = str(time.time())  # as the Snakefile says when it read the code

# Runs a step as `python -m` does, with a clock around what records it.
RUNNER = """
import json, resource, runpy, sys, time
spent = 0.0
began = time.process_time()
import scripts.lib.errors, scripts.lib.disk, scripts.lib.files, scripts.lib.recipe  # which steps load anyway
middle = time.process_time()
import scripts.lib.job as job
spent += time.process_time() - middle

def timed(name):
    inner = getattr(job.Job, name)
    def outer(*given, **named):
        global spent
        start = time.process_time()
        try:
            return inner(*given, **named)
        finally:
            spent += time.process_time() - start
    setattr(job.Job, name, outer)

timed("begin"), timed("finish")
out, module, sys.argv = sys.argv[1], sys.argv[2], sys.argv[2:]
try:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
finally:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    json.dump([spent, sum(each.ru_utime + each.ru_stime for each in used)], open(out, "w"))
"""


def measure(argv: list[str], folder: Path) -> tuple[float, float]:
    """Return the processor seconds of recording and of the whole process of one job.

    Raises:
        SystemExit: it failed; its messages are shown.
    """
    out = folder / "cost.json.tmp"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), REMAKE: "1", PLANNED: BEGAN, "OMP_NUM_THREADS": "1"}
    words = argv[argv.index("-m") + 1 :]
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, str(out), *words],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{words[0]} failed:\n{done.stderr[-2000:]}")
    recording, whole = json.loads(out.read_text())
    out.unlink()
    return recording, whole


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--configfile", type=Path, nargs="*", default=[])
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        shutil.copytree(flags.run, folder, ignore=shutil.ignore_patterns(".snakemake", "kept"))
        rows = []
        for job in in_order(planned_jobs(ROOT / "Snakefile", folder, configfiles=flags.configfile)):
            recording, whole = measure(list(job.argv), folder)
            rows.append((recording, whole, job.rule))
            print(f"{job.rule:24} {recording:8.3f} of {whole:8.2f} CPU-s", flush=True)
    recording, whole = (sum(row[index] for row in rows) for index in (0, 1))
    share = recording / whole
    worst = max(rows, key=lambda row: row[0])
    print(f"{len(rows)} jobs: recording {recording:.2f} of {whole:.1f} CPU-s = {share:.2%}; most in {worst[2]}")
    print(f"ratio {ALLOWED / share:.2f}")


if __name__ == "__main__":
    main()
