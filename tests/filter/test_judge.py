from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from scripts.filter.judge import main, passes
from scripts.lib.errors import UserError
from scripts.lib.tables import CANDIDATES, DETECTIONS, DOWNLOADS, DUPLICATES, INSPECTIONS, VERDICTS
from tests.filter.made import candidate, detection, download, duplicate, inspection, save

EMBEDDED = {"max_face_regions": 0, "max_thumbnail_distance": 8}
RECIPE = {
    "min_side": 64,
    "min_colour_std": 1.0,
    "embedded": EMBEDDED,
    "face_scores": {"fa": 0.5},
    "person_scores": {"pa": 0.7, "pb": 0.3},
}


class Case:
    """A part whose images are all clean until a test says otherwise."""

    def __init__(self, folder: Path, *image_ids: str) -> None:
        self.folder = folder
        self.candidates = [candidate(image_id, row=index) for index, image_id in enumerate(image_ids)]
        self.status = {image_id: download(image_id, row=index) for index, image_id in enumerate(image_ids)}
        self.inspections = {image_id: inspection(image_id) for image_id in image_ids}
        self.duplicates: list[dict[str, Any]] = []
        self.scores = {
            name: {image_id: detection(image_id, 0.1) for image_id in image_ids} for name in ("fa", "pa", "pb")
        }
        self.human = ""
        self.recipe: dict[str, Any] = RECIPE

    def score(self, image_id: str, **scores: float) -> None:
        for name, score in scores.items():
            self.scores[name][image_id] = detection(image_id, score)

    def no_bytes(self, image_id: str, reason: str, detail: str) -> None:
        self.status[image_id].update(reason=reason, detail=detail)
        self._forget(image_id, self.inspections, *self.scores.values())

    def undecodable(self, image_id: str, detail: str) -> None:
        self.inspections[image_id].update(reason="undecodable", detail=detail, width=0, height=0)
        self._forget(image_id, *self.scores.values())

    @staticmethod
    def _forget(image_id: str, *tables: dict[str, dict[str, Any]]) -> None:
        for table in tables:
            del table[image_id]

    def arguments(self) -> list[str]:
        folder = self.folder
        other = [candidate("elsewhere", part="1")]
        tables = {
            name: save(folder / name / "0.parquet", rows.values(), DETECTIONS) for name, rows in self.scores.items()
        }
        human = folder / "verdicts.csv"
        if self.human:
            human.write_text("image_id,verdict,reviewer\n" + self.human)
        return [
            *("--recipe", json.dumps(self.recipe), "--part", "0"),
            *("--candidates", save(folder / "made-000.parquet", self.candidates + other, CANDIDATES)),
            *("--status", save(folder / "status.parquet", self.status.values(), DOWNLOADS)),
            *("--inspection", save(folder / "inspection.parquet", self.inspections.values(), INSPECTIONS)),
            *("--duplicates", save(folder / "duplicates.parquet", self.duplicates, DUPLICATES)),
            *("--faces", tables["fa"], "--people", tables["pa"], tables["pb"]),
            *("--human-verdicts", str(human) if self.human else "", "--out", str(folder / "out.parquet")),
        ]

    def judge(self) -> dict[str, tuple[str, str]]:
        main(self.arguments())
        table = pq.read_table(self.folder / "out.parquet")
        assert table.schema.equals(VERDICTS)
        assert table["row"].to_pylist() == [row["row"] for row in self.status.values()]
        return {row["image_id"]: (row["reason"], row["evidence"]) for row in table.to_pylist()}


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
        "i": ("face", "fa 0.930 >= 0.5"),
        "j": ("person", "pa 0.700 >= 0.7; pb 0.900 >= 0.3"),
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
    case.duplicates = [duplicate("a", "b", "exact_duplicate")]
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


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5, 0.7, 0.9, 1.0])
def test_a_score_equal_to_the_threshold_drops_and_the_next_below_does_not(tmp_path: Path, threshold: float):
    below = float(np.nextafter(np.float32(threshold), np.float32(0)))
    assert passes(float(np.float32(threshold)), threshold)
    assert not passes(below, threshold)
    case = Case(tmp_path, "a", "b")
    case.recipe = {**RECIPE, "face_scores": {"fa": threshold}, "person_scores": {"pa": 1.0, "pb": 1.0}}
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


def _without_row(case: Case) -> None:
    del case.scores["pb"]["a"]


def _with_stranger(case: Case) -> None:
    case.scores["fa"]["z"] = detection("z")


def _without_inspection(case: Case) -> None:
    del case.inspections["a"]


def _without_status(case: Case) -> None:
    del case.status["a"]


def _unknown_detector(case: Case) -> None:
    case.recipe = {**RECIPE, "face_scores": {"fa": 0.5, "fb": 0.5}}


def _unasked_detector(case: Case) -> None:
    case.recipe = {**RECIPE, "person_scores": {"pa": 0.5}}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_without_row, r"pb/0\.parquet does not fit .* 1 are missing or too many \(first: a\)"),
        (_with_stranger, r"fa/0\.parquet does not fit .*first: z"),
        (_without_inspection, r"inspection\.parquet does not fit .*first: a"),
        (_without_status, r"1 rows where the part has 2 candidates .*'a', 'made', 'made-000', 0"),
        (_unknown_detector, r"\['fa', 'fb'\].*\['fa'\]"),
        (_unasked_detector, r"\['pa'\].*\['pa', 'pb'\]"),
    ],
)
def test_tables_that_do_not_belong_together_are_named(tmp_path: Path, spoil: Callable[[Case], None], message: str):
    case = Case(tmp_path, "a", "b")
    spoil(case)
    with pytest.raises(UserError, match=message):
        case.judge()
    assert not (tmp_path / "out.parquet").exists()


def test_a_human_table_that_is_named_and_missing_is_an_error(tmp_path: Path):
    case = Case(tmp_path, "a")
    arguments = case.arguments()
    arguments[arguments.index("--human-verdicts") + 1] = str(tmp_path / "absent.csv")
    with pytest.raises(UserError, match=r"absent\.csv"):
        main(arguments)
