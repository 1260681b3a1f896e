"""Recorded jobs that are run again: with real processes of a real step."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.audit.classes import ASKS_OUTSIDE, HARDWARE, class_of, machine_differences
from scripts.audit.rebuild import left_out, main
from scripts.audit.variations import VARIATIONS
from scripts.lib.fingerprint import code_files, code_hash
from scripts.lib.pins import pins_digest
from scripts.lib.recipe import canonical_json
from tests.conftest import ROOT
from tests.workflow import checkout

OUT = "results/curate/select_candidates/trees-000"
FRACTALS = {"kind": "fractal", "name": "trees", "seed": 1, "classes": 2, "images_per_class": 4, "image_size": 32}


def run_step(folder: Path, root: Path = ROOT) -> None:
    """Run one step as the workflow does, and so leave its record."""
    recipe = {
        "licences": ["CC0-1.0"],
        "partition_bits": 1,
        "require": ["creator"],
        "source": {**FRACTALS, "iterations": 1000},
    }
    modules = ("curate.select_candidates", "curate.sources.fractal")
    fingerprint = code_hash(*(f"scripts.{name}" for name in modules), root=root)
    flags = [
        *("--code", f"{fingerprint} {' '.join(modules)} env:data:{pins_digest('data')}"),
        *("--recipe", canonical_json(recipe), "--file", "trees-000", "--metadata=", "--table=", "--threads", "2"),
        *("--candidates", f"{OUT}.parquet", "--rejected", f"{OUT}.rejected.parquet", "--account", f"{OUT}.json"),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(root), "TZ": "UTC"}
    command = [sys.executable, "-m", "scripts.curate.select_candidates", *flags]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)


def rebuilt(run: Path, tmp_path: Path, *flags: str) -> tuple[int, list[dict[str, Any]]]:
    status = main(["--run", str(run), "--report", str(tmp_path / "report"), "--scratch", str(tmp_path), *flags])
    return status, json.loads((tmp_path / "report/rebuild.json").read_text())["findings"]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded") / "run"
    run_step(folder)
    return folder


@pytest.fixture
def copied(recorded: Path, tmp_path: Path) -> Path:
    subprocess.run(["cp", "-a", str(recorded), str(tmp_path / "run")], check=True)
    return tmp_path / "run"


def edit_record(run: Path, **changes: Any) -> None:
    path = run / "records/curate/select_candidates/trees-000.parquet.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_all_variations_together_change_nothing(recorded: Path, tmp_path: Path) -> None:
    status, findings = rebuilt(recorded, tmp_path)
    assert status == 0
    assert [each["verdict"] for each in findings] == ["same"] * 3
    assert findings[0]["subject"] == "curate/select_candidates/trees-000.parquet"
    assert [path.name for path in tmp_path.iterdir()] == ["report"]  # nothing is left of what was run
    assert len(VARIATIONS) >= 10


def test_another_result_is_named_with_its_place(copied: Path, tmp_path: Path) -> None:
    path = copied / f"{OUT}.json"
    record = json.loads((copied / "records/curate/select_candidates/trees-000.parquet.json").read_text())
    path.write_text(path.read_text().replace('"kept": 8', '"kept": 9'))  # a careful forger changes the record as well
    digest = subprocess.run(["sha256sum", str(path)], capture_output=True, text=True, check=True).stdout.split()[0]
    outputs = [each | ({"sha256": digest} if each["flag"] == "account" else {}) for each in record["outputs"]]
    edit_record(copied, outputs=outputs)
    status, findings = rebuilt(copied, tmp_path, "--vary", "time zone")
    different = [each for each in findings if each["verdict"] == "different"]
    assert status == 1
    assert [each["subject"] for each in different] == ["curate/select_candidates/trees-000.json"]
    assert "kept: 9 and 8" in different[0]["text"]
    assert "With nothing varied it differs, too" in different[0]["cause"]


def test_what_shows_in_a_result_is_named(tmp_path: Path) -> None:
    root = checkout(tmp_path / "checkout")
    step = root / "scripts/curate/select_candidates.py"
    before, after = 'write_json(outputs["account"], account)', 'write_json(outputs["account"], [time.tzname[0]])'
    assert before in step.read_text()
    step.write_text(step.read_text().replace(before, after))
    run_step(tmp_path / "run", root)
    flags = ["--run", str(tmp_path / "run"), "--report", str(tmp_path / "report"), "--scratch", str(tmp_path)]
    flags += ["--vary", "user", "time zone", "umask"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-m", "scripts.audit.rebuild", *flags]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True)
    assert ended.returncode == 1, ended.stderr
    findings = json.loads((tmp_path / "report/rebuild.json").read_text())["findings"]
    (different,) = [each for each in findings if each["verdict"] == "different"]
    assert different["subject"] == "curate/select_candidates/trees-000.json"
    assert "0: UTC and -1130" in different["text"]
    assert "What shows in the result: time zone." in different["cause"]


def test_what_cannot_be_repeated_is_undecidable_and_says_why(copied: Path, tmp_path: Path) -> None:
    record = json.loads((copied / "records/curate/select_candidates/trees-000.parquet.json").read_text())
    text = " ".join(["0123456789abcdef", *record["code"]["text"].split()[1:]])
    argv = [word.replace(record["code"]["text"], text) for word in record["argv"]]
    lost = {"flag": "metadata", "path": "photos.csv", "sha256": "00", "bytes": 1}
    cases = {
        "audit with the commit that made it": {"code": record["code"] | {"text": text}, "argv": argv},
        "its record holds no command line": {"argv": None},
        "its command line has another --recipe": {"values": record["values"] | {"recipe": {}}},
        "it was run by hand, without --code": {"code": record["code"] | {"text": ""}},
        "its input photos.csv is lost": {"inputs": [lost], "argv": [*record["argv"], "--metadata=photos.csv"]},
    }
    for reason, changes in cases.items():
        edit_record(copied, **{**record, **changes})
        status, findings = rebuilt(copied, tmp_path)
        assert (status, findings[0]["verdict"]) == (2, "undecidable"), reason
        assert reason in findings[0]["text"]


def job(step: str, seconds: float, *, varying: bool = False) -> dict[str, Any]:
    return {"step": step, "circumstances": {"cpu_seconds": seconds}, "outputs": [{"path": "", "varying": varying}]}


def test_expensive_jobs_are_drawn_and_the_world_is_not_asked() -> None:
    jobs = {f"part{n}": job("filter.detect_faces", 500) for n in range(20)}
    jobs |= {"cheap": job("filter.judge", 3), "photos": job("curate.download", 3)}
    jobs |= {"card": job("pretrain.write_model_card", 1, varying=True)}
    skipped = left_out(jobs, sample=3, cheap_seconds=60, seed=0)
    drawn = {name for name in jobs if name not in skipped} - {"cheap"}
    assert len(drawn) == 3 and "cheap" not in skipped
    assert "not among the 3 of 20 such jobs" in next(text for name, text in skipped.items() if name.startswith("part"))
    assert "asks outside" in skipped["photos"] and "varying" in skipped["card"]
    assert left_out(jobs, 3, 60, seed=0) == skipped  # the draw can be repeated,
    assert left_out(jobs, 3, 60, seed=1) != skipped  # and another seed gives another one


def test_steps_of_the_tables_exist_and_those_that_ask_outside_are_all_there() -> None:
    text = {step: (ROOT / f"scripts/{step.replace('.', '/')}.py").read_text() for step in {*HARDWARE, *ASKS_OUTSIDE}}
    assert all("run_step(main)" in each for each in text.values())
    asking = {
        f"{path.parent.name}.{path.stem}"
        for path in (ROOT / "scripts").glob("*/*.py")
        if path.parent.name != "lib" and "run_step(main)" in path.read_text()
        if "asks_outside=True" in path.read_text()
        or {"http_get.py", "http_store.py"}
        & {each.name for each in code_files(f"scripts.{path.parent.name}.{path.stem}")}
    }
    assert asking == ASKS_OUTSIDE.keys()


def test_classes_and_machines() -> None:
    assert class_of("filter.judge", {}) == "A"
    assert class_of("pretrain.train", {}) == "A/hw"
    assert class_of("pretrain.train", {"varying": True}) == "D"
    one = {"circumstances": {"hardware": {"key": "a", "threads": 1}, "packages": {"torch": "2"}}}
    other = {"circumstances": {"hardware": {"key": "b", "threads": 2}, "packages": {"torch": "3", "numpy": "2"}}}
    assert machine_differences(one, one) == []
    assert machine_differences(one, other) == ["threads: 1 and 2", "torch 2 and 3"]
