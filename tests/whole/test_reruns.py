"""The rerun table: an edit → exactly these jobs. On the real rules, in a copy of the checkout."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.workflow import checkout, planned_jobs, run_snakemake, write_scale

pytestmark = pytest.mark.whole

TARGET = "results/curate/deduplicate.parquet"
SCALE: dict[str, Any] = {
    "partition_bits": 0,
    "curate": {
        "licences": ["CC0-1.0"],
        "sources": [
            {
                "name": "fractals",
                "kind": "fractal",
                "classes": 2,
                "images_per_class": 3,
                "image_size": 48,
                "iterations": 2000,
                "seed": 1,
            }
        ],
        "inspect_images": {
            "max_pixels": 1_000_000,
            "max_bytes": 2_000_000,
            "cpu_seconds": 4,
            "timeout_seconds": 10,
            "memory_mb": 512,
        },
        "deduplicate": {
            "near_distance": 3,
            "min_correlation": 0.9,
            "mirrored": True,
            "turned": True,
            "min_colour_std": 4.0,
        },
    },
}


@dataclass
class Workplace:
    root: Path
    folder: Path
    scale: dict[str, Any]

    def run(self, *arguments: str) -> str:
        scale = write_scale(self.root / "scale.yaml", self.scale)
        result = run_snakemake(
            TARGET, "--cores", "1", "--configfile", str(scale), *arguments, folder=self.folder, root=self.root
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout + result.stderr

    def would_rerun(self) -> dict[str, int]:
        return planned_jobs(self.run("-n"))

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.root / name
        text = path.read_text()
        assert len(re.findall(old, text, re.MULTILINE)) == 1, f"{old} in {name}"
        path.write_text(re.sub(old, new, text, count=1, flags=re.MULTILINE))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    base = tmp_path_factory.mktemp("reruns")
    place = Workplace(checkout(base / "checkout"), base / "work", json.loads(json.dumps(SCALE)))
    place.folder.mkdir()
    place.run()
    return place


@pytest.fixture
def place(finished: Workplace) -> Workplace:
    """The finished workplace; what a test edits is put back."""
    kept = {path: path.read_bytes() for path in finished.root.rglob("*.py")}
    scale = json.loads(json.dumps(finished.scale))
    yield finished
    for path, content in kept.items():
        path.write_bytes(content)
    finished.scale = scale


def value_edited(place: Workplace) -> None:
    place.scale["curate"]["inspect_images"]["max_pixels"] = 900_000


def values_swapped(place: Workplace) -> None:
    limits = place.scale["curate"]["inspect_images"]
    limits["max_pixels"], limits["max_bytes"] = limits["max_bytes"], limits["max_pixels"]


def module_edited(place: Workplace) -> None:
    place.edit("scripts/curate/deduplicate.py", r"^def main\(", "EDITED = 1\n\n\ndef main(")


def imported_module_edited(place: Workplace) -> None:
    place.edit("scripts/lib/perceptual_hash.py", r"\Z", "\nEDITED = 1\n")
    place.edit(
        "scripts/curate/inspect_images.py",
        r"^def main\(",
        "from scripts.lib.perceptual_hash import EDITED\n\n\ndef main(",
    )


def definition_of_a_shared_module_edited(place: Workplace) -> None:
    # Only `download` and what it calls name a partition by its hash.
    place.edit(
        "scripts/lib/tars.py",
        r"info\.mode, info\.mtime = len\(content\), 0o644, 0",
        "info.mode, info.mtime = len(content), 0o600, 0",
    )


def comment_edited(place: Workplace) -> None:
    for path in sorted((place.root / "scripts").rglob("*.py")):
        path.write_text("# a comment\n" + path.read_text() + "\n# another\n")


def files_touched(place: Workplace) -> None:
    later = time.time() + 100
    for path in [*place.root.rglob("*.py"), *place.root.rglob("*.smk"), *place.root.rglob("*.yaml")]:
        os.utime(path, (later, later))


def unrelated_config_edited(place: Workplace) -> None:
    place.scale["filter"] = {"judge": {"min_side": 99}, "max_per_photographer": 5}
    place.scale["report"] = {"title": "another"}


def method_edited(place: Workplace) -> None:
    place.edit("scripts/pretrain/methods/moco_v2.py", r"\Z", "\nEDITED = 1\n")


def nothing(place: Workplace) -> None:
    """No edit."""


TABLE: list[tuple[Callable[[Workplace], None], dict[str, int]]] = [
    (nothing, {}),
    (value_edited, {"inspect_images": 1, "deduplicate": 1}),
    (values_swapped, {"inspect_images": 1, "deduplicate": 1}),
    (module_edited, {"deduplicate": 1}),
    (imported_module_edited, {"inspect_images": 1, "deduplicate": 1}),
    (definition_of_a_shared_module_edited, {"download": 1, "inspect_images": 1, "deduplicate": 1}),
    (comment_edited, {}),
    (files_touched, {}),
    (unrelated_config_edited, {}),
    (method_edited, {}),
]


@pytest.mark.parametrize(("edit", "expected"), TABLE, ids=[edit.__name__ for edit, _ in TABLE])
def test_an_edit_reruns_exactly_these_jobs(
    place: Workplace, edit: Callable[[Workplace], None], expected: dict[str, int]
) -> None:
    edit(place)
    assert place.would_rerun() == expected


def test_a_finished_run_has_nothing_to_do(finished: Workplace) -> None:
    assert "Nothing to be done" in finished.run()
