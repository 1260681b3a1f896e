"""A small workflow to run locally and through `profiles/slurm`: fractals up to `deduplicate`, and a tiny training."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from scripts.lib.records import read_record
from scripts.lib.seal import closure, seal_of
from tests.conftest import ROOT
from tests.pretrain.made import RUN, drawing
from tests.pretrain.made_images import folder_of
from tests.slurm.cluster import Cluster, wait_until
from tests.whole.test_reruns import SCALE
from tests.workflow import checkout, write_scale

TABLE = "results/curate/deduplicate.parquet"
ENCODER = "results/pretrain/train/tiny/encoder.safetensors"
VARYING = {"cost.json"}  # time and hardware
IMAGES = 16

Drivers = list[subprocess.Popen[bytes]]


def scale(images: Path, **run: Any) -> dict[str, Any]:
    """Two partitions of fractals that take seconds to draw, and a run on `images` that takes twenty steps."""
    fractals = SCALE["curate"]["sources"][0] | {"images_per_class": 12, "iterations": 200_000}
    tiny = {**RUN, "images": "photos", "epochs": 10, "bn_splits": 1, **run}
    tiny["augmentation"] = {**RUN["augmentation"], "image_size": 16}
    sets = [{"name": "photos", "kind": "folder", "path": str(images)}]
    return {
        **SCALE,
        "partition_bits": 1,
        "curate": {**SCALE["curate"], "sources": [fractals]},
        "pretrain": {"monitor": None, "image_sets": sets, "runs": [tiny]},
    }


def adapted_profile(target: Path, **changes: str) -> Path:
    """Copy profiles/slurm and adapt its block, as docs/cluster.md says; the test cluster has no accounts."""
    text = (ROOT / "profiles/slurm/config.yaml").read_text()
    for name, value in {"account": '""', **changes}.items():
        text, found = re.subn(rf"^  {name}: \S+", f"  {name}: {value}", text, flags=re.MULTILINE)
        assert found == 1, name
    target.mkdir(parents=True)
    (target / "config.yaml").write_text(text)
    return target


@dataclass
class Place:
    """A working directory of the workflow; `cluster` None: run on this machine."""

    root: Path  # the checkout
    folder: Path
    scale: Path
    cluster: Cluster | None
    profile: Path | None = None
    targets: tuple[str, ...] = (TABLE, ENCODER)
    drivers: Drivers = field(default_factory=list)  # all that were started

    def command(self, *arguments: str) -> list[str]:
        where = ["--snakefile", str(self.root / "Snakefile"), "--directory", str(self.folder)]
        common = [*self.targets, *where, "--configfile", str(self.scale), *arguments]
        if self.cluster is None:
            return [sys.executable, "-m", "snakemake", "--cores", "2", *common]
        patience = ["--max-status-checks-per-second", "10", "--latency-wait", "10"]
        return [
            sys.executable, "-m", "tests.slurm.hurried_snakemake", "--profile", str(self.profile), *patience, *common
        ]  # fmt: skip

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start the workflow."""
        self.folder.mkdir(exist_ok=True)
        variables = {**os.environ, **(self.cluster.environment if self.cluster else {}), "OMP_NUM_THREADS": "1"}
        with open(self.folder.with_suffix(".log"), "ab") as log:
            driver = subprocess.Popen(
                self.command(*arguments), cwd=ROOT, env=variables, stdout=log, stderr=log, start_new_session=True
            )
        self.drivers.append(driver)
        return driver

    def end(self, driver: subprocess.Popen[bytes], seconds: float = 900) -> str:
        """Wait for the workflow's end, which must be a good one, and return what it said."""
        try:
            driver.wait(timeout=seconds)
        except subprocess.TimeoutExpired:  # several failures of an executor are that it waits for ever
            driver.send_signal(signal.SIGINT)
            driver.wait(timeout=60)
        said = self.folder.with_suffix(".log").read_text()
        assert driver.returncode == 0, said
        return said

    def run(self, *arguments: str) -> str:
        return self.end(self.start(*arguments))

    def kill(self, driver: subprocess.Popen[bytes]) -> None:
        """Kill the workflow's process and all that it started here; its jobs are SLURM's."""
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()

    def results(self) -> dict[str, str]:
        """Return the SHA-256 of each result that has to be equal everywhere."""
        files = sorted(path for path in (self.folder / "results").rglob("*") if path.is_file())
        names = {path.relative_to(self.folder).as_posix(): path for path in files if path.name not in VARYING}
        return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in names.items()}

    def seal(self) -> str:
        """Return the seal over all jobs that the targets rest on."""
        names = [target.removeprefix("results/") for target in self.targets]
        found = closure(names, self.folder / "records")
        assert found.jobs and not found.unrecorded, found.unrecorded
        return seal_of(found.jobs)

    def forget(self, *folders: str) -> None:
        """Remove what steps left: results and records."""
        for folder in folders:
            for above in ("results", "records", "records/kept"):
                shutil.rmtree(self.folder / above / folder, ignore_errors=True)

    def wait_for(self, pattern: str, seconds: float = 400) -> None:
        """Wait until a file that matches `pattern` is there."""
        wait_until(lambda: any(self.folder.glob(pattern)), f"{pattern} in {self.folder}", seconds)

    def processes(self, step: str) -> list[psutil.Process]:
        """Return the processes of a step, e.g. curate.download, that work in this folder."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            with suppress(psutil.Error):
                if (process.info["cmdline"] or [])[1:3] == ["-m", f"scripts.{step}"] and process.cwd() == str(self.folder):
                    found.append(process)
        return found

    def log(self, step: str) -> str:
        """Return what the jobs of a step, e.g. curate/download, logged."""
        return "".join(path.read_text() for path in sorted((self.folder / "logs" / step).rglob("*.log")))

    def record(self, name: str) -> dict[str, Any]:
        """Return the record of a result."""
        found = read_record(name.removeprefix("results/"), self.folder / "records")
        assert found is not None, name
        return found


def make_place(base: Path, cluster: Cluster | None, name: str, **run: Any) -> Place:
    """A checkout, images and a scale in `base`, to run in `base/name`."""
    images = folder_of(base / "images", {f"{n:02}.jpg": drawing(n) for n in range(IMAGES)})
    profile = adapted_profile(base / "profile") if cluster else None
    written = write_scale(base / "scale.yaml", scale(images, **run))
    return Place(checkout(base / "checkout"), base / name, written, cluster, profile)
