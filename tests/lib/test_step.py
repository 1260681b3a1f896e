"""How a step ends: one paragraph for a user's mistake, a traceback for ours, both in the log file as well."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

STEP = """
import logging, sys
from pathlib import Path
from scripts.lib.errors import UserError
from scripts.lib.step import log_to_file, run_step

def main(argv=None):
    log_to_file(Path(sys.argv[2]))
    logging.getLogger("x").info("begins")
    if sys.argv[1] == "mistake":
        raise UserError("the file is missing; put it there")
    if sys.argv[1] == "defect":
        raise ZeroDivisionError("ours")

run_step(main)
"""


@pytest.mark.parametrize(
    ("how", "status", "shown"), [("well", 0, ""), ("mistake", 1, "ERROR: "), ("defect", 1, "Trace")]
)
def test_how_a_step_ends(how: str, status: int, shown: str, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "step.log"
    result = subprocess.run(
        [sys.executable, "-c", STEP, how, str(log)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == status
    assert result.stderr == log.read_text()
    assert "INFO begins" in result.stderr
    assert shown in result.stderr
    assert ("Traceback" in result.stderr) == (how == "defect")
