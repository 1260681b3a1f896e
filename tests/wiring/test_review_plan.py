"""What the rules of review and audit ask of the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.lib.errors import UserError
from scripts.plan import present_csvs
from tests.wiring.test_plan import plan


def test_pages_are_known_beforehand() -> None:
    assert plan(filter__review__pages_per_part=12).page_numbers == [f"{number:02d}" for number in range(1, 13)]
    for images, pages in ((400, 1), (401, 2), (3000, 8), (4000, 10)):
        assert len(plan(filter__audit__images=images).audit_pages) == pages
    assert plan(filter__audit__images=4000).audit_pages[0] == "01"


def test_nothing_is_made_of_what_is_switched_off() -> None:
    both, neither = plan(), plan(filter__review=None, filter__audit=None)
    assert both.review_targets == ["results/filter/list_review_pages.html", "results/filter/measure_leak_rate.json"]
    assert (neither.review_targets, neither.leak_rate, neither.page_accounts) == ([], [], ([], []))
    assert neither.review_list_address == "" and both.review_list_address == "../filter/list_review_pages.html"
    assert plan(filter__review=None).review_targets == both.review_targets
    assert plan(filter__audit=None).review_targets == both.review_targets[:1]
    with pytest.raises(UserError, match=r"filter\.audit is null"):
        neither.audit_recipe()
    with pytest.raises(UserError, match=r"filter\.review is null"):
        neither.write_review_page_recipe()


def test_kept_images_need_the_selection_and_others_do_not() -> None:
    assert plan().reviewed_selection("1f") == []
    assert plan(filter__review__of=["awaits_review", "kept"]).reviewed_selection("1f") == [
        "results/filter/select/1f.parquet"
    ]


def test_the_place_of_the_verdicts_is_in_no_recipe(tmp_path: Path) -> None:
    somewhere = plan(filter__audit__verdicts=str(tmp_path), filter__human_verdicts=str(tmp_path))
    assert somewhere.audit_verdicts == somewhere.human_verdicts == str(tmp_path)
    assert str(tmp_path) not in somewhere.audit_recipe() + somewhere.judge_recipe()
    assert plan().audit_verdicts == plan(filter__audit=None).audit_verdicts == ""


def test_the_files_of_a_folder_are_the_inputs(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", "notes.txt"):
        (tmp_path / name).write_text("")
    assert present_csvs(str(tmp_path)) == [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]
    assert present_csvs(str(tmp_path / "a.csv")) == [str(tmp_path / "a.csv")]
    assert present_csvs(str(tmp_path / "absent")) == present_csvs("") == []


def test_the_definition_of_a_person_is_in_the_recipes_of_the_pages_and_of_nothing_else() -> None:
    before, after = plan(), plan(filter__review_page__person=["a person", "a statue"])
    assert before.write_review_page_recipe() != after.write_review_page_recipe()
    assert before.write_audit_page_recipe() != after.write_audit_page_recipe()
    assert (before.judge_recipe(), before.audit_recipe()) == (after.judge_recipe(), after.audit_recipe())
