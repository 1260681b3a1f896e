"""A whole small run: run again, trained again in part, and compared with one that has another setting."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.small_run import SmallRun

pytestmark = pytest.mark.slow


def audit(place: SmallRun, command: str, report: Path, *flags: str) -> tuple[int, dict[str, Any]]:
    words = [sys.executable, "-m", f"scripts.audit.{command}", "--run", str(place.folder), "--report", str(report)]
    ended = subprocess.run([*words, *flags], cwd=place.root, capture_output=True, text=True, check=False)
    assert (report / f"{command}.json").is_file(), ended.stderr
    return ended.returncode, json.loads((report / f"{command}.json").read_text())


def test_every_job_is_the_same_under_all_variations(small_run: SmallRun, tmp_path: Path) -> None:
    status, report = audit(small_run, "rebuild", tmp_path / "report", "--scratch", str(tmp_path))
    left = [each for each in report["findings"] if each["verdict"] != "same"]
    assert status == 0 and {each["verdict"] for each in left} == {"not_checked"}
    assert {each["subject"].split("/")[1] for each in left} == {"download", "train", "write_model_card"}  # cost.json
    assert report["facts"]["jobs run again"] > 20


def test_the_training_repeats(small_run: SmallRun, tmp_path: Path) -> None:
    status, report = audit(small_run, "segment", tmp_path / "report", "--scratch", str(tmp_path))
    assert (status, [each["verdict"] for each in report["findings"]]) == (0, ["same"])


def test_another_threshold_is_the_first_divergence(small_run: SmallRun, tmp_path: Path) -> None:
    other = small_run.copied(tmp_path / "other")
    other.scale["filter"]["target_size"] = 20
    other.run()
    status, report = audit(small_run, "compare", tmp_path / "report", "--other", str(other.folder))
    assert status == 1
    own = [each for each in report["findings"] if each["verdict"] == "different" and not each["inherited"]]
    assert own[0]["subject"] == "filter/select.parquet"
    assert "target_size: 24 and 20" in own[0]["text"]
