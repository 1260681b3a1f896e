"""One verdict and the first reason for each image."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from scripts.filter.judge import main
from scripts.filter.rules import at_least
from tests.filter.judge_case import RECIPE, Case, rules
from tests.filter.made import candidate, detection, download, duplicate


def test_one_image_for_each_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    case = Case(tmp_path, *"abcdefghijkl")
    case.no_bytes("a", "not_found", "404")
    case.undecodable("b", "truncated")
    case.inspections["c"].update(width=300, height=63)
    case.inspections["d"].update(colour_std=0.25)
    case.duplicates = [
        duplicate("k", "k", ""),
        duplicate("e", "k", "exact_duplicate"),
        duplicate("f", "k", "near_duplicate", distance=3, mirrored=True),
        duplicate("elsewhere", "k", "near_duplicate"),
    ]
    case.human = "g,drop,Ann\nl,keep,Bob\n"
    case.scores["pa"]["h"] = detection("h", reason="detector_failed", detail="RuntimeError: x")
    case.score("i", fa=0.93, pa=0.99)
    case.score("j", pa=0.7, pb=0.9)
    case.score("l", fa=0.99, pa=0.99)
    assert case.judge() == {
        "a": ("not_found", "404"),
        "b": ("undecodable", "truncated"),
        "c": ("too_small", "300 x 63, shorter side < 64"),
        "d": ("single_colour", "colour_std 0.250 < 1"),
        "e": ("exact_duplicate", "of k, distance 0"),
        "f": ("near_duplicate", "of k, distance 3, mirrored"),
        "g": ("human_verdict", "reviewer Ann"),
        "h": ("detector_failed", "pa: RuntimeError: x"),
        "i": ("face", "face: fa 0.930 >= 0.5"),
        "j": ("person", "person: pa 0.700 >= 0.7; pb 0.900 >= 0.3"),
        "k": ("", ""),
        "l": ("", "reviewer Bob"),
    }
    assert "'read': 12, 'kept': 2" in caplog.text


def test_the_first_reason_wins_when_all_hold(tmp_path: Path):
    """Take the reasons off one by one, in the order of the pipeline."""
    case = Case(tmp_path, "a")
    case.status["a"].update(reason="too_large", detail="9 bytes")
    kept_inspections, kept_scores = case.inspections, case.scores
    case.inspections, case.scores = {}, {name: {} for name in case.scores}
    case.duplicates = [duplicate("a", "b", "exact_duplicate"), duplicate("b", "b", "")]
    case.human = "a,drop,Ann\n"
    assert case.judge()["a"][0] == "too_large"
    case.status["a"].update(reason="", detail="")
    case.inspections = kept_inspections
    case.inspections["a"].update(reason="animated", width=1, height=1, colour_std=0.0)
    assert case.judge()["a"][0] == "animated"
    case.inspections["a"].update(reason="")
    case.scores = kept_scores
    case.score("a", fa=0.9, pa=0.9)
    case.scores["pb"]["a"] = detection("a", reason="detector_failed", detail="x")
    assert case.judge()["a"][0] == "too_small"
    case.inspections["a"].update(width=100, height=100)
    assert case.judge()["a"][0] == "single_colour"
    case.inspections["a"].update(colour_std=9.0)
    assert case.judge()["a"][0] == "exact_duplicate"
    case.duplicates = []
    case.inspections["a"].update(face_regions=1, thumbnail_distance=30)
    assert case.judge()["a"][0] == "human_verdict"
    case.human = ""
    assert case.judge()["a"] == ("tagged_person", "1 tagged in the file's metadata > 0")
    case.inspections["a"].update(face_regions=0)
    assert case.judge()["a"] == ("thumbnail_differs", "thumbnail 30 bits from the picture > 8")
    case.inspections["a"].update(thumbnail_distance=None)
    assert case.judge()["a"][0] == "detector_failed"
    case.score("a", pb=0.9)
    assert case.judge()["a"][0] == "face"
    case.score("a", fa=0.1)
    assert case.judge()["a"][0] == "person"
    case.score("a", pa=0.1, pb=0.1)
    assert case.judge()["a"] == ("", "")


def test_a_reviewer_keeps_against_detectors_and_against_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    case = Case(tmp_path, *"abcde")
    case.duplicates = [duplicate("a", "d", "near_duplicate"), duplicate("d", "d", "")]
    case.inspections["e"].update(face_regions=3, thumbnail_distance=40)
    case.inspections["b"].update(height=10)
    case.scores["fa"]["c"] = detection("c", reason="detector_failed", detail="x")
    case.human = "a,keep,Ann\nb,keep,Ann\nc,keep,Ann\ne,keep,Ann\nunknown,keep,Ann\n"
    verdicts = case.judge()
    assert [verdicts[name][0] for name in "abcde"] == ["near_duplicate", "too_small", "", "", ""]
    assert "2 images that a reviewer wants kept stay dropped" in caplog.text


def test_a_band_waits_for_a_reviewer_unless_a_later_rule_drops(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    case = Case(tmp_path, *"abcdefg")
    case.recipe = {**RECIPE, "rules": rules({"fa": 0.5}, {"pa": 0.7}, face={"fa": 0.2}, person={"pa": 0.4, "pb": 0.3})}
    case.score("a", fa=0.2)
    case.score("b", fa=0.3, pa=0.9)
    case.score("c", fa=0.1999)
    case.score("d", pa=0.5, pb=0.6)
    case.score("e", fa=0.6, pa=0.5)
    case.score("f", fa=0.3)
    case.score("g", fa=0.3)
    case.human = "f,keep,Ann\ng,drop,Ann\n"
    assert case.judge() == {
        "a": ("awaits_review", "review by face: fa 0.200 >= 0.2"),
        "b": ("person", "person: pa 0.900 >= 0.7"),
        "c": ("", ""),
        "d": ("awaits_review", "review by person: pa 0.500 >= 0.4; pb 0.600 >= 0.3"),
        "e": ("face", "face: fa 0.600 >= 0.5"),
        "f": ("", "reviewer Ann"),
        "g": ("human_verdict", "reviewer Ann"),
    }
    assert "'read': 7, 'kept': 2" in caplog.text and "'awaits_review': 2" in caplog.text


def test_the_order_of_the_rules_gives_the_reason(tmp_path: Path):
    case = Case(tmp_path, "a")
    case.score("a", fa=0.9, pa=0.9)
    assert case.judge()["a"][0] == "face"
    case.recipe = {**RECIPE, "rules": RECIPE["rules"][::-1]}
    assert case.judge()["a"][0] == "person"


def test_a_committee_weighs_scores_and_the_size_of_the_best_box(tmp_path: Path):
    """By hand: log odds of 0.5 are 0, of 0.9 ln 9; a box of 20 x 10 in 200 x 100 covers a hundredth."""
    case = Case(tmp_path, *"abc")
    voices = [{"detector": "pa", "score": 1.0, "area": -0.5}, {"detector": "fa", "score": 2.0, "area": 0.0}]
    rule = {"name": "both", "reason": "person", "combine": "logistic", "bias": -1.0, "voices": voices}
    limits = {"score_range": [0.1, 0.9], "drop": 0.9, "review": 0.2}
    names = {"name": "pb", "reason": "person", "combine": "any", "drop": {"pb": 0.9}, "review": {}}
    case.recipe = {**RECIPE, "rules": [{**rule, **limits}, names]}
    box = {"x0": 10.0, "y0": 0.0, "x1": 30.0, "y1": 10.0, "score": 0.5}
    worse = {"x0": 0.0, "y0": 0.0, "x1": 200.0, "y1": 100.0, "score": 0.4}
    case.scores["pa"]["a"] = detection("a", 0.5, boxes=[box, worse])
    case.scores["fa"]["a"] = detection("a", 0.5)
    case.scores["pa"]["b"] = detection("b", 0.99, boxes=[box])  # cut to 0.9
    case.scores["fa"]["b"] = detection("b", 0.5)
    case.scores["pa"]["c"] = detection("c", 0.0)  # no box: score cut to 0.1, size without weight
    case.scores["fa"]["c"] = detection("c", 0.5)
    sums = {"a": -1 - 0.5 * np.log(0.01), "b": -1 + np.log(9) - 0.5 * np.log(0.01), "c": -1 + np.log(1 / 9)}
    odds = {name: 1 / (1 + np.exp(-value)) for name, value in sums.items()}
    assert odds["b"] > 0.9 > odds["a"] > 0.2 > odds["c"]
    assert case.judge() == {
        "a": ("awaits_review", f"review by both: {odds['a']:.3f} >= 0.2 (pa 0.500, fa 0.500)"),
        "b": ("person", f"both: {odds['b']:.3f} >= 0.9 (pa 0.990, fa 0.500)"),
        "c": ("", ""),
    }


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5, 0.7, 0.9, 1.0])
def test_a_score_equal_to_the_threshold_drops_and_the_next_below_does_not(tmp_path: Path, threshold: float):
    below = float(np.nextafter(np.float32(threshold), np.float32(0)))
    assert at_least(float(np.float32(threshold)), threshold)
    assert not at_least(below, threshold)
    case = Case(tmp_path, "a", "b")
    case.recipe = {**RECIPE, "rules": rules({"fa": threshold}, {"pa": 1.0, "pb": 1.0})}
    case.score("a", fa=threshold)
    case.score("b", fa=below)
    assert [reason for reason, _ in case.judge().values()] == ["face", ""]


def test_size_and_colour_at_their_limits_are_kept(tmp_path: Path):
    case = Case(tmp_path, "a", "b")
    case.recipe = {**RECIPE, "min_colour_std": 0.7}
    case.inspections["a"].update(width=64, height=64, colour_std=0.7)
    case.inspections["b"].update(colour_std=float(np.nextafter(np.float32(0.7), np.float32(0))))
    assert [reason for reason, _ in case.judge().values()] == ["", "single_colour"]


def test_two_rows_of_one_image_have_their_own_verdicts_in_the_order_of_the_status_table(tmp_path: Path):
    case = Case(tmp_path, "b", "a")
    case.candidates.append(candidate("a", row=7))
    case.status["again"] = download("a", row=7, reason="repeated_id", detail="first in made-000, row 1")
    main(case.arguments())
    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [(row["image_id"], row["row"], row["reason"]) for row in rows] == [
        ("b", 0, ""),
        ("a", 1, ""),
        ("a", 7, "repeated_id"),
    ]


def test_equal_input_gives_equal_bytes(tmp_path: Path):
    assert Case(tmp_path).judge() == {}  # an empty part is a table too
    case = Case(tmp_path, "a", "b")
    case.judge()
    first = (tmp_path / "out.parquet").read_bytes()
    case.judge()
    assert (tmp_path / "out.parquet").read_bytes() == first
