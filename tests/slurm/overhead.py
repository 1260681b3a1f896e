"""Measure what a SLURM job costs beside its step, with and without groups: `python -m tests.slurm.overhead`.

Four partitions of a few fractals, so that steps take next to nothing. The figures are in docs/measurements.md.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from pathlib import Path

import psutil

from scripts.lib.records import all_records
from tests.slurm.cluster import Cluster
from tests.slurm.place import TABLE, Place, make_place
from tests.workflow import write_scale


def measured(place: Place, cluster: Cluster) -> str:
    """Run the workflow and return its figures in one line."""
    before = set(cluster.cpu_seconds())
    started, driver = time.monotonic(), place.start()
    watched, own = psutil.Process(driver.pid), 0.0
    while driver.poll() is None:
        times = watched.cpu_times()
        own = times.user + times.system + times.children_user + times.children_system
        time.sleep(0.2)
    place.end(driver)
    wall = time.monotonic() - started
    jobs = {job: seconds for job, seconds in cluster.cpu_seconds().items() if job not in before}
    found = {record["outputs"][0]["path"]: record for _, record in all_records(place.folder / "records")}
    steps = sum(record["circumstances"]["cpu_seconds"] for record in found.values())
    each = (sum(jobs.values()) - steps) / len(jobs)
    return (
        f"{len(found)} steps in {len(jobs)} SLURM jobs: {wall:.0f} s, steps {steps:.1f} CPU-s, jobs besides "
        f"{sum(jobs.values()) - steps:.1f} ({each:.1f} each), driver {own:.1f}"
    )


def main() -> None:
    """Measure both ways on a cluster of its own."""
    base = Path(tempfile.mkdtemp(prefix="slurm-"))
    cluster = Cluster(base / "c")
    cluster.start()
    try:
        for name in ("grouped", "single"):
            place = make_place(base / name, cluster, "work")
            place.targets = (TABLE,)
            scale = json.loads(place.scale.read_text())
            scale["partition_bits"] = 2
            scale["curate"]["sources"][0] |= {"iterations": 2000, "images_per_class": 10}
            write_scale(place.scale, scale)
            if name == "single":
                path = place.profile / "config.yaml"
                text, count = re.subn(r"^groups:.*?^$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
                assert count == 1
                path.write_text(text)
            sys.stdout.write(f"{name}: {measured(place, cluster)}\n")
            sys.stdout.flush()
    finally:
        cluster.stop()


if __name__ == "__main__":
    main()
