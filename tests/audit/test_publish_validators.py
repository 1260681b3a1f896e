"""The formats' own validators on what is published; docs/publish.md says how to get them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.audit.publish import publish
from tests.audit.made_run import MadeRun
from tests.conftest import ROOT

CROISSANT = """
import sys, mlcroissant
dataset = mlcroissant.Dataset(jsonld=sys.argv[1])
issues = dataset.metadata.issues
assert not issues.errors and not issues.warnings, issues.report()
rows = list(dataset.records("metadata"))
images = [row["images/content"].size for row in dataset.records("images")]
print(len(rows), len(images), set(images))
"""


@pytest.fixture(scope="module")
def validators() -> Path:
    folder = os.environ.get("UNPEOPLED_VALIDATORS")
    if not folder:
        pytest.skip("UNPEOPLED_VALIDATORS names no folder with mlcroissant and roc-validator: docs/publish.md")
    return Path(folder).resolve()


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    MadeRun()
    publish(Path(), tmp_path / "published", (0, "clean"))
    return tmp_path / "published"


def run(code: list[str], packages: Path, cache: Path) -> str:
    done = subprocess.run(
        [sys.executable, *code],
        env={**os.environ, "PYTHONPATH": str(packages), "CROISSANT_CACHE": str(cache)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_croissant(published: Path, validators: Path, tmp_path: Path) -> None:
    said = run(["-c", CROISSANT, str(published / "croissant.json")], validators / "croissant", tmp_path)
    assert said.split() == ["4", "4", "{(40,", "30)}"]


def test_run_crate(published: Path, validators: Path, tmp_path: Path) -> None:
    script = str(ROOT / "tests/audit/validate_crate.py")
    run([script, str(published), str(validators)], validators / "crate", tmp_path)
