"""One line for each job that would run, and none for the others."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from scripts.audit.expected import changed_keys, differences
from scripts.audit.planned import PlannedJob
from scripts.audit.why import in_order, label, reasons
from scripts.lib.files import sha256_file
from scripts.lib.records import write_record

RECIPE = '{"drop":{"hog":0.9},"names":[{"name":"a","x":1},{"name":"b","x":2}]}'
CODE = "0123 filter.judge env:data:77"


def planned(rule: str, inputs: tuple[str, ...], output: str, recipe: str = RECIPE, **more: str) -> PlannedJob:
    code = more.pop("code", CODE)
    words = ["python", "-m", f"scripts.filter.{rule}", f"--code={code}", "--recipe", recipe, "--table", *inputs]
    words += [f"--{name}={value}" for name, value in more.items()]
    return PlannedJob(rule, {"part": "0"}, inputs, (output,), (*words, "--out", output), "")


A, B, C = "results/filter/a.csv", "results/filter/b.csv", "results/filter/c.csv"


def plan(**more: str) -> list[PlannedJob]:
    """Two jobs in a row: b of a, c of b and a; given in the wrong order."""
    return [planned("third", (B, A), C), planned("second", (A,), B, **more)]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the two jobs have left."""
    monkeypatch.chdir(tmp_path)
    for name in (A, B, C):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(name)
    for job in plan():
        write_record(record_of(job))
    return tmp_path


def entry(flag: str, path: str) -> dict[str, Any]:
    return {"flag": flag, "path": path, "sha256": sha256_file(path), "bytes": Path(path).stat().st_size}


def record_of(job: PlannedJob, **more: Any) -> dict[str, Any]:
    return {
        "format": 1,
        "step": f"filter.{job.rule}",
        "argv": list(job.argv[3:]),
        "values": {"recipe": json.loads(RECIPE)},
        "code": {"text": CODE, "files": {}},
        "inputs": [entry("table", path) for path in job.inputs],
        "outputs": [entry("out", path) for path in job.outputs],
        "circumstances": {"started": "2026-01-01T00:00:00+00:00"},
        **more,
    }


def lines() -> list[str]:
    return [each.line for each in reasons(plan())]


def test_jobs_come_after_what_they_read() -> None:
    assert [job.rule for job in in_order(plan())] == ["second", "third"]
    assert label(plan()[0]) == "third 0"


def test_nothing_would_run(run: Path) -> None:
    assert lines() == []


def test_a_setting_is_named_with_both_values_and_what_lies_below(run: Path) -> None:
    found = reasons(plan(recipe=RECIPE.replace("0.9", "0.95")))
    assert [each.line for each in found] == [
        "second 0: settings: drop.hog: 0.9 -> 0.95",
        "third 0: below second 0: computed if their results change",
    ]


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"code": "0123 filter.judge env:data:78"}, "environment: the pins of envs/data.yaml"),
        ({"code": "0123 filter.select env:data:77"}, "code: it runs filter.select instead of filter.judge"),
        ({"part": "1"}, "settings: part: absent -> 1"),
        ({"recipe": RECIPE.replace('"b"', '"c"')}, "settings: names.b: "),
    ],
)
def test_what_makes_a_job_another_one(more: dict[str, str], text: str, run: Path) -> None:
    assert reasons(plan(**more))[0].line.startswith(f"second 0: {text}")


@pytest.mark.parametrize("more", [{"threads": "9"}, {"log": "x"}, {"watch-folder": "logs/y"}])
def test_what_does_not_count(more: dict[str, str], run: Path) -> None:
    assert reasons(plan(**more)) == []


def test_an_edited_file_is_named() -> None:
    job = planned("judge", (), A, code="0124 filter.judge env:data:77")
    record = {
        "argv": list(job.argv[3:]),
        "code": {"text": CODE, "files": {}},
        "inputs": [],
        "outputs": [],
        "values": {},
    }
    (found,) = differences(job, record)
    assert found.kind == "code" and "scripts/filter/judge.py" in found.text


def test_another_order_of_inputs_is_seen(run: Path) -> None:
    job = planned("third", (A, B), C)
    assert [each.text for each in differences(job, record_of(plan()[0]))] == ["the order of --table"]


def test_lost_and_unrecorded_results(run: Path) -> None:
    Path(C).unlink()
    assert lines() == [f"third 0: {C} is missing"]
    Path("records/filter/b.csv.json").unlink()
    assert lines()[0] == "second 0: its results have no record: it was killed, or ran without --code"
    Path(B).unlink()
    assert lines()[0] == "second 0: it has not run"


def test_an_input_that_was_made_again_and_is_another(run: Path) -> None:
    Path(B).write_text("another")
    write_record(record_of(plan()[1]))
    assert lines() == [f"third 0: inputs: {B} was made again since, and is another"]


def test_data_from_outside_is_looked_at_by_its_bytes(run: Path) -> None:
    outside = run / "labels.csv"
    outside.write_text("1")
    write_record(record_of(plan()[1], inputs=[entry("table", A), entry("labels", str(outside))]))
    assert lines() == []
    os.utime(outside)
    assert lines() == []
    outside.write_text("2")
    assert lines()[0] == f"second 0: inputs: {outside} is another file than the one that was read"


def test_entries_of_lists_go_by_their_names() -> None:
    old, new = [{"name": "a", "x": 1}, {"name": "b"}], [{"name": "b"}, {"name": "a", "x": 2}]
    assert list(changed_keys(old, new, "runs")) == ["runs.a.x: 1 -> 2", "runs: order a, b -> b, a"]
    assert list(changed_keys([1, 2], [2, 1], "lr")) == ["lr: [1, 2] -> [2, 1]"]
