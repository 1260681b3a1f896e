from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from scripts.filter.measured import Measured, best_areas, detectors_with_areas, in_order
from scripts.filter.rule_settings import CommitteeRule, ScoreRule, Voice, detectors_of
from scripts.filter.rules import apply_rules
from scripts.filter.suspicion import suspicions
from scripts.lib.tables import DETECTIONS

BOX = DETECTIONS.field("boxes").type


def measured(*scores: float) -> Measured:
    return Measured(np.array(scores, np.float32), np.ones(len(scores)))


def rule(name: str, reason: str = "person", drop: dict | None = None, review: dict | None = None) -> ScoreRule:
    return ScoreRule(name=name, reason=reason, combine="any", drop=drop or {}, review=review or {})


def committee(**values: object) -> CommitteeRule:
    base = {"name": "c", "reason": "person", "combine": "logistic", "bias": 0.0, "score_range": (0.1, 0.9)}
    voices = (Voice(detector="a", score=1.0, area=0.0),)
    return CommitteeRule.model_validate({**base, "voices": voices, "drop": 0.7, "review": None, **values})


def naive(rules: list[ScoreRule], scores: dict[str, list[float]], index: int) -> str:
    for review in (False, True):
        for each in rules:
            for name, threshold in (each.review if review else each.drop).items():
                if scores[name][index] >= threshold:
                    return "awaits_review" if review else each.reason
    return ""


@pytest.mark.parametrize("seed", range(4))
def test_rules_on_columns_agree_with_a_loop_over_images(seed: int):
    random = np.random.default_rng(seed)
    scores = {name: (random.integers(0, 16, 300) / 16).tolist() for name in "abc"}  # exact in 32 bits
    rules = [
        rule("r1", "face", {"a": 0.9375}, {"a": 0.75, "b": 0.875}),
        rule("r2", "person", {"b": 0.9375, "c": 0.9375}, {"c": 0.5}),
        rule("r3", "face", {"c": 0.875}),
    ]
    judged = apply_rules(rules, {name: measured(*each) for name, each in scores.items()}, 300)
    assert [reason for reason, _ in judged] == [naive(rules, scores, index) for index in range(300)]
    assert {reason for reason, _ in judged} == {"", "face", "person", "awaits_review"}
    assert all(bool(reason) == bool(evidence) for reason, evidence in judged)


def test_no_images_and_no_rules():
    assert apply_rules([rule("r", drop={"a": 0.5}), committee()], {"a": measured()}, 0) == []
    assert apply_rules([], {}, 2) == [("", ""), ("", "")]


def test_the_best_box_of_each_row_even_of_a_slice():
    def box(x1: float, y1: float) -> dict[str, float]:
        return {"x0": 0.0, "y0": 0.0, "x1": x1, "y1": y1, "score": 0.5}

    column = pa.array([[box(9, 9)], [], [box(10, 5), box(20, 10)], [], [box(20, 10)]], BOX)
    np.testing.assert_allclose(best_areas(column, [(20, 10)] * 5), [0.405, 1, 0.25, 1, 1])
    np.testing.assert_allclose(best_areas(column.slice(1, 2), [(20, 10), (100, 10)]), [1, 0.05])
    assert best_areas(pa.array([], BOX), []).shape == (0,)


def test_rows_are_taken_in_the_order_asked_for():
    table = pa.table({"image_id": pa.chunked_array([["b"], ["a", "c"]]), "score": [1, 2, 3]})
    assert in_order(table, ["c", "b"])["score"].to_pylist() == [3, 1]


def test_the_detectors_of_rules():
    rules = [rule("r", drop={"b": 0.5}, review={"a": 0.1, "b": 0.2}), committee()]
    assert [detectors_of(each) for each in rules] == [["a", "b"], ["a"]]
    assert detectors_with_areas(rules) == set()
    assert detectors_with_areas([committee(voices=(Voice(detector="a", score=0.0, area=0.5),))]) == {"a"}


@pytest.mark.parametrize(
    ("scores", "told"),
    [
        ((0.0, 0.0), ["a (a.parquet) found nothing", "the rule c gives none of 2 images 0.7"]),
        ((0.1, 0.5), ["the rule c gives none of 2 images 0.7 (highest: 0.500)"]),
        ((0.75, 0.9), ["the rule c gives each of 2 images 0.7 or more (lowest: 0.750)"]),
        ((0.5, 0.9), []),
    ],
)
def test_a_committee_that_says_the_same_of_all_is_suspicious(scores: tuple[float, ...], told: list[str]):
    """With one voice of weight 1 and no bias the committee's score is the detector's."""
    clauses = list(suspicions([committee()], {"a": measured(*scores)}, {"a": "a.parquet"}, 2))
    assert len(clauses) == len(told)
    for clause, part in zip(clauses, told, strict=True):
        assert part in clause
