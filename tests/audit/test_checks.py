"""The checks of the content, on tables whose right answer is computed by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from scripts.audit import configuration, evidence, row_account
from scripts.audit.planned import PlannedJob
from scripts.lib.tables import DETECTIONS


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([1, 2, 3], None),
        ([3, 1, 2], None),
        ([], None),
        ([1, 2, 2], "row 2 twice and row 3 not at all"),
        ([1, 3], "row 2 not at all"),
        ([0, 1], "row 2 not at all"),  # counted from 0
        ([1, 2, 9], "row 3 not at all"),
    ],
)
def test_each_row_once(rows: list[int], told: str | None) -> None:
    found = list(row_account._once(np.array(rows, np.int64), "kept", "rejected"))
    assert (told in found[0]) if told else found == []


def detections(*rows: tuple[float, tuple[float, float] | None]) -> pa.Table:
    boxes = [
        [] if size is None else [{"x0": 1, "y0": 2, "x1": 1 + size[0], "y1": 2 + size[1], "score": s}]
        for s, size in rows
    ]
    columns: dict[str, list[Any]] = {
        "image_id": [f"i{index}" for index in range(len(rows))],
        "reason": [""] * len(rows), "detail": [""] * len(rows),
        "score": [score for score, _ in rows], "count": [len(each) for each in boxes], "boxes": boxes,
    }  # fmt: skip
    return pa.table(columns, schema=DETECTIONS)


KEPT = pa.table({"image_id": ["i0", "i1", "i2"], "width": [10, 10, 10], "height": [10, 10, 10]})


def test_a_score_at_the_threshold_is_over_it() -> None:
    rule = {"combine": "any", "drop": {"a": 0.7}, "review": {"b": 0.3}}
    tables = {
        "a": detections((0.7, None), (0.6999, None), (0, None)),
        "b": detections((0, None), (0, None), (0.31, None)),
    }
    assert evidence._over(rule, tables, KEPT).tolist() == [True, False, True]


def test_a_committee_is_the_logistic_sum() -> None:
    rule = {
        "combine": "logistic", "bias": -1.0, "score_range": (0.1, 0.9), "drop": 0.8, "review": 0.5,
        "voices": [{"detector": "a", "score": 2.0, "area": 0.5}],
    }  # fmt: skip
    tables = {"a": detections((0.9, (5, 4)), (0.7, (10, 10)), (0.05, None))}
    # odds: -1 + 2 ln 9 + 0.5 ln 0.2 = 2.59 (0.93); -1 + 2 ln(7/3) + 0 = 0.69 (0.67, review); cut to 0.1: -5.4
    odds = [-1 + 2 * math.log(9) + 0.5 * math.log(0.2), -1 + 2 * math.log(7 / 3), -1 + 2 * math.log(1 / 9)]
    assert [round(1 / (1 + math.exp(-each)), 2) for each in odds] == [0.93, 0.67, 0.0]
    assert evidence._over(rule, tables, KEPT).tolist() == [True, True, False]
    assert evidence._over({**rule, "review": None}, tables, KEPT).tolist() == [True, False, False]


def record(**changed: Any) -> dict[str, Any]:
    inputs = [{"flag": "rows", "path": f"results/a/{name}", "sha256": name * 64} for name in "01"]
    return {
        "step": "filter.select",
        "values": {"recipe": {"cap": 80, "rules": [{"name": "face", "drop": 0.5}]}, "part": "0", "like": ""},
        "code": {"text": "abc filter.select env:data:1", "files": {}},
        "inputs": inputs,
        "outputs": [{"flag": "out", "path": "results/b", "sha256": "b", "bytes": 1}],
        **changed,
    }


def planned(**changed: str) -> PlannedJob:
    words = {
        "--code": "abc filter.select env:data:1", "--recipe": '{"rules":[{"drop":0.5,"name":"face"}],"cap":80}',
        "--part": "0", "--rows": "results/a/0 results/a/1", "--out": "results/b", "--threads": "4", **changed,
    }  # fmt: skip
    argv = ["python", "-m", "scripts.filter.select"]
    for flag, text in words.items():
        argv += [flag, *(text.split() if flag in ("--rows", "--out") else [text])]
    return PlannedJob("select", {}, (), ("results/b",), tuple(argv), "")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, None),
        ({"--threads": "9"}, None),
        ({"--like": ""}, None),
        ({"--code": "xyz filter.select env:data:2"}, None),  # the check of the code names it
        ({"--code": "abc filter.select pretrain.moco env:data:1"}, "it would run filter.select pretrain.moco"),
        ({"--code": "abc filter.select env:torch:1"}, "env:torch:1"),
        ({"--recipe": '{"cap":80,"rules":[{"name":"face","drop":0.6}]}'}, "rules.face.drop: 0.5 -> 0.6"),
        ({"--recipe": '{"cap":80.5,"rules":[{"name":"face","drop":0.5}]}'}, "cap: 80 -> 80.5"),
        ({"--part": "1"}, "part: 0 -> 1"),
        ({"--like": "other"}, "like"),
        ({"--rows": "results/a/1 results/a/0"}, "in another order"),
        ({"--rows": "results/a/0"}, "recorded only results/a/1"),
        ({"--rows": "results/a/0 results/a/1 results/a/2"}, "configured only results/a/2"),
        ({"--more": "results/c"}, "--more names results/c"),
        ({"--more": "data/that/is/not/there"}, None),
    ],
)
def test_a_command_is_compared_flag_by_flag(changed: dict[str, str], told: str | None, tmp_path: Path) -> None:
    finding = configuration._judge("results/b", record(), planned(**changed), tmp_path)
    assert (finding.verdict == "same") == (told is None), finding.text
    assert told is None or told in finding.text


def test_data_from_outside_may_lie_elsewhere_with_the_same_bytes(tmp_path: Path) -> None:
    digest = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"  # of foo
    before = record(inputs=[{"flag": "rows", "path": "/old/x.csv", "sha256": digest}])
    (tmp_path / "x.csv").write_text("foo")
    job = planned(**{"--rows": "x.csv"})
    assert configuration._judge("results/b", before, job, tmp_path).verdict == "same"
    (tmp_path / "x.csv").write_text("fox")
    assert configuration._judge("results/b", before, job, tmp_path).verdict == "different"
