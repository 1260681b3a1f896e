"""Run the workflow as a user does: a process, a working directory of its own, its output."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

# torch = None makes `import torch` fail: planning must not need it
WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; from snakemake.cli import main; main(sys.argv[1:])"
PARTS_OF_A_CHECKOUT = (
    "Snakefile",
    "config.yaml",
    "requirements.lock",
    "rules",
    "scripts",
    "scales",
    "profiles",
    "envs",
)


def checkout(target: Path) -> Path:
    """Copy what the workflow needs to `target`, to be edited there."""
    target.mkdir(parents=True)
    for name in PARTS_OF_A_CHECKOUT:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, target / name)
    return target


def run_snakemake(
    *arguments: str,
    folder: Path,
    root: Path = ROOT,
    without_torch: bool = False,
    environment: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run snakemake on the checkout `root` with the working directory `folder`; never raises for its status."""
    start = [sys.executable, "-c", WITHOUT_TORCH] if without_torch else [sys.executable, "-m", "snakemake"]
    return subprocess.run(
        [*start, "--snakefile", str(root / "Snakefile"), "--directory", str(folder), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", **(environment or {})},
    )


def planned_jobs(output: str) -> dict[str, int]:
    """Return rule → number of jobs from the table that snakemake prints, without `all` and `total`."""
    table = re.search(r"^job +count\n-+ +-+\n(.*?)\n\n", output + "\n\n", re.MULTILINE | re.DOTALL)
    if table is None:
        return {}
    rows = (line.split() for line in table[1].splitlines())
    return {rule: int(count) for rule, count in rows if rule not in ("all", "total")}


def write_scale(path: Path, values: dict[str, object]) -> Path:
    """Write a scale; JSON is YAML."""
    path.write_text(json.dumps(values))
    return path
