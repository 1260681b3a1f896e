"""What a user reads when something outside is wrong: one paragraph that says what to do, and no traceback."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.whole.test_reruns import SCALE
from tests.workflow import run_snakemake, write_scale

pytestmark = pytest.mark.whole


def paragraph(output: str) -> str:
    """Return the error paragraph, its lines joined."""
    found = re.search(r"ERROR: (.*?)(?:\n\s*\n|={10,}|\Z)", output, re.DOTALL)
    assert found, output
    assert "Traceback" not in output, output
    return " ".join(found[1].split())


def test_a_missing_weights_file(tmp_path: Path) -> None:
    result = run_snakemake(
        "results/filter/fetch_weights/nanodet.weights",
        "--configfile",
        str(ROOT / "scales/photos.yaml"),
        folder=tmp_path,
        environment={"UNPEOPLED_SHARED": str(tmp_path / "nowhere")},
    )
    assert result.returncode != 0
    text = paragraph(result.stdout + result.stderr)
    assert "nanodet" in text
    assert "nanodet_m_416.onnx" in text
    assert "4b82da99" in text


def test_a_missing_metadata_file(tmp_path: Path) -> None:
    result = run_snakemake(
        "results/curate/select_candidates/yfcc_sample-000.parquet",
        "--configfile",
        str(ROOT / "scales/photos.yaml"),
        folder=tmp_path,
        environment={"UNPEOPLED_SHARED": str(tmp_path / "nowhere")},
    )
    assert result.returncode != 0
    assert "yfcc100m_dataset.tsv" in paragraph(result.stdout + result.stderr)


def test_an_unreachable_source(tmp_path: Path, shared: Path) -> None:
    result = run_snakemake(
        "results/curate/download/0.tar",
        "--configfile",
        str(ROOT / "scales/photos.yaml"),
        "--config",
        "partition_bits=4",
        folder=tmp_path,
        environment={"UNPEOPLED_SHARED": str(shared.parent), "UNPEOPLED_PHOTO_PORT": "9"},
    )
    assert result.returncode != 0
    text = paragraph(result.stdout + result.stderr)
    assert "127.0.0.1" in text
    assert not (tmp_path / "results/curate/download/0.parquet").exists()


def test_an_empty_selection(tmp_path: Path) -> None:
    import yaml

    demo = yaml.safe_load((ROOT / "scales/demo.yaml").read_text())
    scale = {**demo, "partition_bits": 0, "curate": SCALE["curate"]}
    scale["filter"] = {**demo["filter"], "judge": {"min_side": 10_000}}
    result = run_snakemake(
        "results/filter/select.parquet",
        "--configfile",
        str(write_scale(tmp_path / "scale.yaml", scale)),
        folder=tmp_path,
    )
    assert result.returncode != 0
    text = paragraph(result.stdout + result.stderr)
    assert "too_small" in text
    assert "6" in text
