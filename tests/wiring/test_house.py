"""The house rules that a machine can check."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

MODULES = sorted((ROOT / "scripts").rglob("*.py"))


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    paths = [ROOT / name.decode() for name in listed.split(b"\0") if name]
    return [path for path in paths if path.is_file()]


def test_files_are_short_enough_to_read() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in MODULES}
    assert not {name: length for name, length in lengths.items() if length > 250}


def test_rule_files_are_short_enough_to_read() -> None:
    for path in sorted((ROOT / "rules").glob("*.smk")):
        assert len(path.read_text().splitlines()) <= 200, path.name


@pytest.mark.parametrize("name", ["utils", "helpers", "common", "misc"])
def test_no_drawer_for_everything(name: str) -> None:
    assert not [path for path in MODULES if path.stem == name]


def test_nothing_unsafe_is_used() -> None:
    unsafe = re.compile(
        r"\b(extractall|pickle\.loads?\(|shell=True|yaml\.load\(|(?<!\.)eval\(|exec\(|os\.system|weights_only=False)"
    )
    found = [f"{path.name}: {match[0]}" for path in MODULES if (match := unsafe.search(path.read_text()))]
    assert not found


def test_only_steps_that_need_torch_import_it() -> None:
    for stage in ("curate", "shard", "report"):
        for path in sorted((ROOT / "scripts" / stage).rglob("*.py")):
            assert not re.search(r"^\s*(import|from) (torch|lightning)", path.read_text(), re.MULTILINE), path


def test_no_machine_and_no_registry_in_the_repository() -> None:
    pattern = re.compile(
        rb"(--index-url|--extra-index-url|--find-links|pypi\.org|files\.pythonhosted|/root/|/work/|/home/\w)"
    )
    for path in tracked():
        if path != Path(__file__):
            match = pattern.search(path.read_bytes())
            assert match is None, f"{path.relative_to(ROOT)}: {match[0]!r}"


def test_no_large_file() -> None:
    large = [path.name for path in tracked() if path.stat().st_size > 500_000 and path.name != "requirements.lock"]
    assert not large


def test_the_commands_of_the_readme_are_those_of_ci() -> None:
    readme, makefile = (ROOT / "README.md").read_text(), (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:^|`)make ([a-z][a-z0-9-]*)", readme, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"README says make {target}"
    ci = (ROOT / ".ci" / "run").read_text()
    assert {"make setup", "make check", "make test"} <= set(re.findall(r"make [a-z]+", ci))
    for scale in re.findall(r"scales/\w+\.yaml", readme):
        assert (ROOT / scale).is_file()
    assert "--configfile scales/demo.yaml" in makefile


def test_links_of_the_docs_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for name in re.findall(
            r"`((?:scripts|rules|docs|envs|scales|profiles|tests|benchmarks)/[\w./-]+)`", page.read_text()
        ):
            assert (ROOT / name).exists(), f"{page.name} names {name}"


def test_decisions_that_are_cited_exist() -> None:
    numbers = set(re.findall(r"^(\d+)\. \*\*", (ROOT / "docs/decisions.md").read_text(), re.MULTILINE))
    for path in [*MODULES, ROOT / "config.yaml", *sorted((ROOT / "scales").glob("*.yaml"))]:
        for number in re.findall(r"decisions\.md#(\d+)", path.read_text()):
            assert number in numbers, f"{path.name} cites decision {number}"
