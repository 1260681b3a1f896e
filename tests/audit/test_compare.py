"""Two runs: twenty planted divergences, each of which has to be named with its job, its place and its cause."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scripts.audit.compare import main
from scripts.lib.errors import UserError
from scripts.lib.files import write_csv, write_table
from scripts.lib.tables import DETECTIONS
from tests.audit.made_runs import OTHER_MACHINE, Jobs, jobs, make_run

Change = Callable[[Jobs], None]


def setting(step: str, value: int) -> Change:
    return lambda wanted: wanted[step]["values"]["recipe"]["limits"].update(side=value)


def code(step: str) -> Change:
    def change(wanted: Jobs) -> None:
        wanted[step]["code"] = f"beef {step} env:data:11"
        wanted[step]["files"] = dict.fromkeys(wanted[step]["files"], "11")

    return change


def pins(step: str) -> Change:
    return lambda wanted: wanted[step].update(code=f"c0de {step} env:data:22")


def silent(step: str) -> Change:
    """Change something that no record shows: a draw without a seed, a hand edit, a disk."""
    return lambda wanted: wanted[step].update(salt="x")


def order(step: str) -> Change:
    return lambda wanted: wanted[step]["inputs"].reverse()


def outside(step: str) -> Change:
    return lambda wanted: wanted[step].update(outside="other photos")


def machine(step: str) -> Change:
    def change(wanted: Jobs) -> None:
        wanted[step].update(hardware=OTHER_MACHINE, salt="x")

    return change


def edit(step: str, flag: str, how: Callable[[Path], None]) -> Change:
    return lambda wanted: wanted[step].update(edit={flag: how})


def other_row(path: Path) -> None:
    rows = pq.read_table(path).to_pylist()
    rows[3]["value"] = 7.0
    write_table(path, pa.Table.from_pylist(rows))


def other_step(path: Path) -> None:
    header, *rows = [line.split(",") for line in path.read_text().splitlines()]
    rows[6][4] = "other"
    write_csv(path, header, rows)


# What was changed → which output is the culprit, where in it (None: anywhere), which cause stands beside it.
FIRST = "curate/select_candidates/candidates.parquet"
ENCODER = "pretrain/train/tiny/encoder.safetensors"
PLANTED: list[tuple[Change, str, str, str]] = [
    (setting("curate.select_candidates", 16), FIRST, "row 1", "recipe.limits.side: 32 and 16"),
    (setting("curate.inspect_images", 8), "curate/inspect_images/0.parquet", "row 1", "recipe.limits.side: 32 and 8"),
    (setting("filter.judge", 9), "filter/judge/0.parquet", "column value", "recipe.limits.side: 32 and 9"),
    (setting("pretrain.train", 64), ENCODER, "step 1 ", "recipe.limits.side: 32 and 64"),
    (setting("report.count_funnel", 1), "report/count_funnel/funnel.json", "kept: ", "recipe.limits.side: 32 and 1"),
    (code("curate.download"), "curate/download/0.tar", "member image0", "scripts/curate/download.py"),
    (code("filter.detect_faces"), "filter/detect_faces/centerface/0.parquet", "column score", "c0de and beef"),
    (code("shard.write_shards"), "shard/write_shards/00000.tar", "member image0", "scripts/shard/write_shards.py"),
    (code("evaluate.knn"), "evaluate/knn/tiny.csv", "column value", "scripts/evaluate/knn.py"),
    (pins("curate.inspect_images"), "curate/inspect_images/0.parquet", "row 1", "env:data:11 and env:data:22"),
    (pins("evaluate.embed"), "evaluate/embed/tiny.safetensors", "tensor train_features", "other pinned packages"),
    (silent("curate.inspect_images"), "curate/inspect_images/0.parquet", "row 1", "without a seed"),
    (silent("pretrain.train"), ENCODER, "trace.csv, step 1 ", "without a seed"),
    (silent("report.write_report"), "report/index.html", "line 2", "without a seed"),
    (order("filter.judge"), "filter/judge/0.parquet", "row 1", "in another order"),
    (order("shard.write_shards"), "shard/write_shards/00000.tar", "member", "in another order"),
    (outside("curate.select_candidates"), FIRST, "row 1", "data from outside differs"),
    (machine("shard.write_shards"), "shard/write_shards/00000.tar", "member", "processor: one and two"),
    (edit("filter.judge", "out", other_row), "filter/judge/0.parquet", "row 4 (image_id image3), column", "verify"),
    (edit("pretrain.train", "trace", other_step), "pretrain/train/tiny/trace.csv", "step 7 ", "verify"),
]  # fmt: skip


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("plain") / "run", jobs())


def compared(one: Path, other: Path, report: Path, *flags: str) -> tuple[int, dict[str, Any]]:
    code = main(["--run", str(one), "--other", str(other), "--report", str(report), *flags])
    return code, json.loads((report / "compare.json").read_text())


def changed(change: Change, folder: Path, *, files: bool = True) -> Path:
    wanted = jobs()
    change(wanted)
    return make_run(folder, wanted, files=files)


@pytest.mark.parametrize("number", range(len(PLANTED)))
def test_each_planted_divergence_is_named(number: int, plain: Path, tmp_path: Path) -> None:
    change, culprit, place, cause = PLANTED[number]
    status, report = compared(plain, changed(change, tmp_path / "other"), tmp_path / "report")
    assert status == 1
    own = [each for each in report["findings"] if each["verdict"] == "different" and not each["inherited"]]
    assert [each["subject"] for each in own] == [culprit]
    assert place in own[0]["text"]
    assert cause in own[0]["text"] + own[0]["cause"]
    assert culprit.rpartition("/")[0] in report["verdict"]
    followers = [each for each in report["findings"] if each["inherited"]]
    assert {each["inherited"] for each in followers} <= {culprit}


@pytest.mark.parametrize("number", range(0, len(PLANTED), 5))
def test_records_alone_name_job_and_cause(number: int, plain: Path, tmp_path: Path) -> None:
    change, culprit, _, cause = PLANTED[number]
    other = changed(change, tmp_path / "other", files=False)
    status, report = compared(plain / "records", other / "records", tmp_path / "report")
    first = next(each for each in report["findings"] if each["verdict"] == "different")
    assert (status, first["subject"]) == (1, culprit)
    assert cause in first["text"] + first["cause"]


def test_two_runs_of_the_same_agree(plain: Path, tmp_path: Path) -> None:
    status, report = compared(plain, make_run(tmp_path / "again", jobs()), tmp_path / "report")
    assert status == 0
    assert {each["verdict"] for each in report["findings"]} == {"same"}
    assert report["facts"]["seals"][0] == report["facts"]["seals"][1]


def test_a_setting_without_effect_is_told_and_is_no_difference(plain: Path, tmp_path: Path) -> None:
    other = make_run(tmp_path / "other", jobs())
    path = other / "records/report/index.html.json"
    record = json.loads(path.read_text())
    record["values"]["recipe"]["seed"] = 5
    path.write_text(json.dumps(record))
    status, report = compared(plain, other, tmp_path / "report")
    assert status == 0
    assert (
        "All results are the same; what differs: report.write_report: another setting, recipe.seed: 0 and 5"
        in (report["findings"][-1]["text"])
    )


def close_scores(path: Path) -> None:
    table = pq.read_table(path).to_pylist()
    for row in table:
        row["score"] += 3e-5
    write_table(path, pa.Table.from_pylist(table, schema=DETECTIONS))


def elsewhere(step: str, how: Callable[[Path], None] | None, *, flag: str = "out") -> Change:
    """Let one job run on another kind of machine, which leaves what `how` makes of the first one's output."""

    def change(wanted: Jobs) -> None:
        wanted[step].update(hardware={**OTHER_MACHINE, "key": "aaaa-other"} if how is None else OTHER_MACHINE)
        if how is not None:
            wanted[step]["edit"] = {flag: how}

    return change


def test_another_kind_of_machine_is_said_and_not_failed(plain: Path, tmp_path: Path) -> None:
    def everywhere(wanted: Jobs) -> None:
        for job in wanted.values():
            job["hardware"] = OTHER_MACHINE

    other = changed(everywhere, tmp_path / "other", files=False)
    status, report = compared(plain, other, tmp_path / "report")
    assert status == 2
    assert not [each for each in report["findings"] if each["verdict"] == "different"]
    first = next(each for each in report["findings"] if each["verdict"] == "undecidable")
    assert first["subject"] == "filter/detect_faces/centerface/0.parquet"
    assert "two kinds of machines" in first["text"]
    assert "processor: one and two" in first["cause"]
    assert report["facts"]["other machines"] == ["processor: one and two (11 jobs)"]


def test_scores_of_another_machine_are_judged_by_closeness(plain: Path, tmp_path: Path) -> None:
    score_table = "results/filter/detect_faces/centerface/0.parquet"

    def near(path: Path) -> None:
        path.write_bytes((plain / score_table).read_bytes())
        close_scores(path)

    other = changed(elsewhere("filter.detect_faces", near), tmp_path / "other")
    status, report = compared(plain, other, tmp_path / "report")
    found = {each["subject"]: each for each in report["findings"]}
    assert found["filter/detect_faces/centerface/0.parquet"]["verdict"] == "close"
    assert found["filter/judge/0.parquet"]["verdict"] == "undecidable"  # it follows from what is close
    assert status == 2


def test_a_job_of_one_run_only_is_a_difference(plain: Path, tmp_path: Path) -> None:
    def change(wanted: Jobs) -> None:
        wanted["report.write_report"]["inputs"].pop()
        del wanted["evaluate.knn"]

    status, report = compared(plain, changed(change, tmp_path / "other"), tmp_path / "report")
    found = {each["subject"]: each["text"] for each in report["findings"]}
    assert status == 1
    assert found["evaluate/knn/tiny.csv"] == "Only the first run has this job of evaluate.knn."


def test_an_input_that_its_maker_did_not_leave(plain: Path, tmp_path: Path) -> None:
    other = make_run(tmp_path / "other", jobs())
    path = other / "records/filter/judge/0.parquet.json"
    record = json.loads(path.read_text())
    record["inputs"][2]["sha256"] = "0" * 64
    record["outputs"][0]["sha256"] = "1" * 64
    path.write_text(json.dumps(record))
    _, report = compared(plain, other, tmp_path / "report")
    first = next(each for each in report["findings"] if each["verdict"] == "different")
    assert first["subject"] == "filter/judge/0.parquet"
    assert "the second run read another version than its maker left" in first["text"] + first["cause"]


def test_a_seal_alone(plain: Path, tmp_path: Path) -> None:
    status, report = compared(plain, plain / "records/seal.json", tmp_path / "report")
    assert (status, report["findings"][0]["verdict"]) == (0, "same")
    (tmp_path / "seal.json").write_text('{"seal": "00"}')
    status, report = compared(plain, tmp_path / "seal.json", tmp_path / "report")
    assert (status, report["findings"][0]["verdict"]) == (2, "undecidable")


def test_no_run_is_one_sentence(plain: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no records and no seal"):
        main(["--run", str(plain), "--other", str(tmp_path)])
