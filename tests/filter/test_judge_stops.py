"""When `judge` writes nothing: tables that no collection gives, or that do not belong together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.filter.judge import main
from scripts.lib.errors import UserError
from tests.filter.judge_case import RECIPE, Case, rules
from tests.filter.made import detection


def _nothing(case: Case) -> None:
    for image_id in case.scores["fa"]:
        case.score(image_id, fa=0.0)


def _never_enough(case: Case) -> None:
    for image_id in case.scores["fa"]:
        case.score(image_id, fa=0.4999)


def _always(case: Case) -> None:
    for image_id in case.scores["pb"]:
        case.score(image_id, pb=0.31)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            _nothing,
            r"detector fa \(\S+/fa/0\.parquet\) found nothing in any of 4 images.*weights.*colour order.*threshold",
        ),
        (_never_enough, r"detector fa \(.*gives none of 4 images its lowest threshold 0\.5 \(highest: 0\.500\)"),
        (_always, r"detector pb \(.*gives each of 4 images 0\.3 or more \(lowest: 0\.310\)"),
    ],
)
def test_what_no_collection_gives_stops_large_parts_and_warns_on_small_ones(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: Callable[[Case], None], message: str
):
    case = Case(tmp_path, *"abcd")
    case.score("a", fa=0.9, pa=0.9)
    case.score("b", pb=0.4)
    case.recipe = {**RECIPE, "suspicious_from": 4}
    case.judge()
    assert not caplog.records
    (tmp_path / "out.parquet").unlink()
    spoil(case)
    with pytest.raises(UserError, match=message):
        case.judge()
    assert not (tmp_path / "out.parquet").exists()
    for limit in (5, None):
        case.recipe = {**RECIPE, "suspicious_from": limit}
        caplog.clear()
        assert len(case.judge()) == 4
        assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_failed_images_are_not_evidence_of_a_detector_that_finds_nothing(tmp_path: Path):
    case = Case(tmp_path, *"abcd")
    case.score("a", fa=0.9, pa=0.9)
    for image_id in "bcd":
        case.scores["fa"][image_id] = detection(image_id, reason="detector_failed", detail="x")
    case.recipe = {**RECIPE, "suspicious_from": 2}
    assert [reason for reason, _ in case.judge().values()] == ["face", *["detector_failed"] * 3]


def _without_row(case: Case) -> None:
    del case.scores["pb"]["a"]


def _with_stranger(case: Case) -> None:
    case.scores["fa"]["z"] = detection("z")


def _without_inspection(case: Case) -> None:
    del case.inspections["a"]


def _without_status(case: Case) -> None:
    del case.status["a"]


def _unknown_detector(case: Case) -> None:
    case.recipe = {**RECIPE, "rules": rules({"fa": 0.5, "fb": 0.5}, {"pa": 0.7, "pb": 0.3})}


def _unasked_detector(case: Case) -> None:
    case.recipe = {**RECIPE, "rules": rules({"fa": 0.5}, {"pa": 0.5})}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_without_row, r"pb/0\.parquet does not fit .* 1 are missing or too many \(first: a\)"),
        (_with_stranger, r"fa/0\.parquet does not fit .*first: z"),
        (_without_inspection, r"inspection\.parquet does not fit .*first: a"),
        (_without_status, r"1 rows where the part has 2 candidates .*'a', 'made', 'made-000', 0"),
        (_unknown_detector, r"\['fa', 'fb', 'pa', 'pb'\].*\['fa', 'pa', 'pb'\]"),
        (_unasked_detector, r"\['fa', 'pa'\].*\['fa', 'pa', 'pb'\]"),
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
