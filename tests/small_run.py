"""A whole run in about a minute of one core: fractals, two partitions, two sources, one tiny network, one protocol.

For what has to be tried on the results and records of a whole run: reruns, deaths, the audit.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from scripts.lib.records import all_records
from tests.conftest import ROOT
from tests.pretrain.made import RUN
from tests.workflow import checkout, planned_jobs, run_snakemake, write_scale


def _source(name: str, seed: int) -> dict[str, Any]:
    size = {"classes": 2, "images_per_class": 8, "image_size": 48, "iterations": 2000}
    return {"name": name, "kind": "fractal", "seed": seed, **size}


def small_scale() -> dict[str, Any]:
    """Return the demo's scale, cut down: every stage and most steps, nothing that takes more than seconds."""
    scale: dict[str, Any] = yaml.safe_load((ROOT / "scales/demo.yaml").read_text())
    scale["curate"]["licences"] = ["CC0-1.0"]
    scale["curate"]["sources"] = [_source("ferns", 1), _source("trees", 2)]
    scale["filter"] |= {"audit": {"images": 4}, "target_size": 24}
    scale["pretrain"]["monitor"] = {"task": None, "images": 1, "every_epochs": 1}
    run = {
        **RUN,
        "name": "tiny",
        "encoder": "resnet_tiny_test",
        "epochs": 2,
        "batch_size": 8,
        "checkpoint_every_steps": 1,
    }
    scale["pretrain"]["runs"] = [{**run, "augmentation": {**RUN["augmentation"], "image_size": 16}}]
    task = {"train_per_class": 4, "test_per_class": 4, "classes": 2, "image_size": 48, "iterations": 2000}
    scale["evaluate"]["tasks"][0] |= {**task, "resize": 20, "crop": 16}
    scale["evaluate"] |= dict.fromkeys(("linear_probe", "low_shot", "few_shot", "cluster"))
    scale["evaluate"]["knn"] = {"votes": [{"neighbours": 3, "temperature": 0.07}]}
    scale["evaluate"]["embedding_map"] = {"tasks": []}
    scale["evaluate"]["after_head"] = []
    scale["evaluate"]["finetuned"] = {"tasks": [], "classifiers": [], "detectors": [], "segmenters": []}
    return copy.deepcopy(scale)


class SmallRun:
    """A checkout, a working directory and a scale, each to be edited."""

    def __init__(self, base: Path) -> None:
        self.base, self.root, self.folder = base, base / "checkout", base / "work"
        self.scale = small_scale()
        self.lost: set[str] = set()  # results of which nothing is left, so that they have to be made again

    @classmethod
    def made(cls, base: Path) -> SmallRun:
        """Return a finished one in the folder `base`."""
        place = cls(base)
        checkout(place.root)
        place.folder.mkdir()
        place.run()
        return place

    def copied(self, base: Path) -> SmallRun:
        """Return a copy in the folder `base`: times and second names of files are kept, nothing is shared."""
        base.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", str(self.root), str(self.folder), str(base)], check=True)
        other = SmallRun(base)
        other.scale = copy.deepcopy(self.scale)
        return other

    def snakemake(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run snakemake with the scale as it is."""
        scale = write_scale(self.base / "scale.yaml", self.scale)
        flags = ("--configfile", str(scale), *arguments)
        return run_snakemake(*flags, folder=self.folder, root=self.root, environment=environment)

    def run(self, *arguments: str, **environment: str) -> str:
        """Run it to its end and return what it said."""
        result = self.snakemake("--cores", "2", *arguments, **environment)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout + result.stderr

    def planned(self) -> dict[str, int]:
        """Return rule → jobs that snakemake would start."""
        return planned_jobs(self.snakemake("-n").stdout)

    def seal(self) -> str:
        """Return the seal that the last complete run wrote."""
        return str(json.loads((self.folder / "records/seal.json").read_text())["seal"])

    def times(self) -> dict[str, str]:
        """Return job → when it was computed; what was spared keeps its time."""
        with self.inside():
            return {name: record["circumstances"]["started"] for name, record in all_records()}

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Make its folder the working directory while the block runs."""
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            yield
        finally:
            os.chdir(before)

    def remove(self) -> None:
        """Delete it."""
        shutil.rmtree(self.base)
