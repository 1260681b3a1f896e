"""Parts of a recorded training, trained again."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from scripts.audit.segment import main
from scripts.audit.traces import Segment, first_other_row, judge_early, segments
from scripts.lib.encoder_names import family_of
from scripts.lib.files import sha256_file, write_csv
from scripts.lib.fingerprint import code_hash
from scripts.lib.pins import pins_digest
from scripts.pretrain.trace import HEADER
from tests.conftest import ROOT
from tests.pretrain.made import flags, make_shards, recipe

FOLDER = "results/pretrain/train/tiny"


def row(step: int, **cells: str) -> dict[str, str]:
    plain = {"epoch": "1", "loss": float(step).hex(), "images": "i", "module": "m", "optimizer": "o"}
    return {"step": str(step), **plain, **cells}


def test_parts_lie_between_kept_checkpoints_and_rows_of_the_trace() -> None:
    trace = [row(step) for step in (1, 2, 3, 10, 20, 30, 40)]
    assert segments(trace, [], 8) == [Segment(0, 3, None)]
    assert segments(trace, [], 12) == [Segment(0, 10, None)]
    kept = [Path("kept/20.ckpt"), Path("kept/10.ckpt"), Path("kept/25.ckpt"), Path("kept/notes.ckpt")]
    assert segments(trace, kept, 8) == [  # 25 is no row; after 20 the next row is farther than 8 steps
        Segment(0, 10, None),
        Segment(10, 20, kept[1]),
        Segment(20, 30, kept[0]),
    ]
    assert segments([], kept, 8) == []


@pytest.mark.parametrize("column", ["images", "loss", "module", "optimizer", "epoch"])
def test_the_first_other_row_is_named_with_its_column(column: str) -> None:
    trace = [row(step) for step in range(1, 30)]
    other = [*trace[:11], row(12, **{column: "0x1p9"}), row(13, module="x"), *trace[13:]]
    found = first_other_row(trace, other, Segment(0, 29, None))
    assert found is not None and found[0] == 12 and f"({column}: " in found[1]
    assert first_other_row(trace, other, Segment(13, 29, None)) is None
    missing = first_other_row(trace, trace[:20], Segment(0, 29, None))
    assert missing == (21, "the repeated trace has no row of step 21")


def test_other_machines_are_judged_by_the_first_steps() -> None:
    trace = [row(step) for step in range(1, 30)]
    near = [row(step, loss=float(step * (1 + 5e-7)).hex(), module="other") for step in range(1, 30)]
    assert judge_early(trace, near).verdict == "close"
    near[3]["loss"] = (4.001).hex()
    assert judge_early(trace, near).verdict == "different"
    near[1]["images"] = "x"
    assert "step 2: other images" in judge_early(trace, near).text


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recorded run of three epochs of three steps, with the checkpoint of each epoch."""
    folder = tmp_path_factory.mktemp("trained")
    tars, indexes = make_shards(folder / "results/shard/write_shards", 26)
    shards = [[path.relative_to(folder) for path in paths] for paths in (tars, indexes)]
    text = recipe("moco_v2", encoder="resnet_tiny_test")
    modules = ["pretrain.train", "pretrain.methods.moco_v2"]
    modules += [f"lib.architectures.{family_of('resnet_tiny_test')}", "pretrain.backends.pil"]
    code = f"{code_hash(*(f'scripts.{each}' for each in modules))} {' '.join(modules)} env:torch:{pins_digest('torch')}"
    words = [*flags((shards[0], shards[1]), Path(FOLDER), text), "--code", code]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "UNPEOPLED_KEEP_CHECKPOINTS": "1"}
    command = [sys.executable, "-m", "scripts.pretrain.train", *words]
    ended = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return folder


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    subprocess.run(["cp", "-a", str(trained), str(tmp_path / "run")], check=True)
    return tmp_path / "run"


def audited(run: Path, tmp_path: Path, *more: str) -> tuple[int, list[dict[str, Any]]]:
    status = main(["--run", str(run), "--report", str(tmp_path / "report"), "--scratch", str(tmp_path), *more])
    return status, json.loads((tmp_path / "report/segment.json").read_text())["findings"]


def read(run: Path) -> list[list[str]]:
    with (run / FOLDER / "trace.csv").open(newline="") as handle:
        return list(csv.reader(handle))[1:]


def forge(run: Path, rows: list[list[str]], **machine: Any) -> None:
    """Write another trace, and a record that says that it has always been so; on another machine where one is given."""
    write_csv(run / FOLDER / "trace.csv", HEADER, rows)
    path = run / "records/pretrain/train/tiny/encoder.safetensors.json"
    record = json.loads(path.read_text())
    for output in record["outputs"]:
        if output["flag"] == "trace":
            output["sha256"] = sha256_file(run / FOLDER / "trace.csv")
    record["circumstances"]["hardware"] |= machine
    path.write_text(json.dumps(record))


def test_a_run_leaves_what_an_audit_needs(trained: Path) -> None:
    assert [int(row[0]) for row in read(trained)] == [1, 2, 3, 4, 5, 6, 7, 8, 9]  # the first steps, all of them
    assert sorted(path.name for path in (trained / FOLDER / "kept").iterdir()) == ["3.ckpt", "6.ckpt"]
    assert not (trained / FOLDER / "last.ckpt").exists()


def test_a_part_repeats_bit_for_bit_and_a_planted_row_does_not(copied: Path, tmp_path: Path) -> None:
    rows = read(copied)
    rows[4][4] = "0" * 64  # weights after step 5
    forge(copied, rows)
    status, findings = audited(copied, tmp_path, "--segments", "3", "--starts", "3", "6")
    assert status == 1
    assert [(each["subject"].split()[-1], each["verdict"]) for each in findings] == [
        ("4-6", "different"),
        ("7-9", "same"),
    ]
    assert f"{FOLDER}/trace.csv: the first step to differ is 5: the method's weights" in findings[0]["text"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report", "run"]


@pytest.mark.slow
def test_another_machine_is_close_at_the_start_and_undecidable_later(copied: Path, tmp_path: Path) -> None:
    rows = read(copied)
    for cells in rows:
        cells[2] = (float.fromhex(cells[2]) * (1 + 1e-7)).hex()
        cells[4] = "0" * 64
    forge(copied, rows, key="another", threads=64)
    for path in (copied / FOLDER / "kept").iterdir():  # without them only the start can be trained again
        path.unlink()
    status, findings = audited(copied, tmp_path, "--steps", "2")
    assert (status, findings[0]["verdict"]) == (0, "close")
    assert "threads: 64 and 1" in findings[0]["cause"]


def test_a_checkpoint_that_is_not_of_the_trace_is_named(copied: Path, tmp_path: Path) -> None:
    (copied / FOLDER / "kept/3.ckpt").write_bytes((copied / FOLDER / "kept/6.ckpt").read_bytes())
    (copied / FOLDER / "kept/6.ckpt").unlink()
    status, findings = audited(copied, tmp_path, "--starts", "3")
    assert status == 1
    assert "kept/3.ckpt is not the state after step 3: its module and optimizer are not those" in findings[0]["text"]


@pytest.mark.slow
def test_a_checkpoint_of_other_settings_is_undecidable(copied: Path, tmp_path: Path) -> None:
    for path in (copied / FOLDER / "kept").iterdir():
        content = torch.load(path, weights_only=True)
        torch.save(content | {"key": "of another run"}, path)
    status, findings = audited(copied, tmp_path, "--starts", "3")
    assert (status, findings[0]["verdict"]) == (2, "undecidable")
    assert "of other settings, code, images or torch" in findings[0]["text"]


def test_a_lost_trace_is_undecidable(copied: Path, tmp_path: Path) -> None:
    (copied / FOLDER / "trace.csv").write_text("step\n")
    (copied / "records/kept/pretrain/train/tiny/trace.csv").unlink()
    status, findings = audited(copied, tmp_path)
    assert (status, findings[0]["verdict"]) == (2, "undecidable")
    assert "trace.csv is lost or not what was recorded" in findings[0]["text"]
