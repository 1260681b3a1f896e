"""Encoders that were not trained here, in the report."""

from __future__ import annotations

import re
from pathlib import Path

from scripts.evaluate.pass_checkpoints import CHECKPOINTS
from scripts.report.page_sentences import _learnt
from scripts.report.published import PUBLISHED
from scripts.report.result_table import read_results
from scripts.report.settings import WriteReportSettings
from tests.report.made import HOSTILE
from tests.report.test_result_table import table
from tests.report.test_write_report import MORE, RESULTS, ROWS, Page, make_page, recipe

STRANGERS = [
    {"name": "their_swav", "encoder": "resnet50", "source": f"published {HOSTILE}", "checkpoint": "swav_200ep"},
    {"name": "vit", "encoder": "timm/test_vit", "source": "timm test_vit", "checkpoint": ""},
    {"name": "resnet50-random", "encoder": "resnet50", "source": "random initialisation", "checkpoint": ""},
]
TWINS = {"run_one": "run_one-untrained", "their_swav": "resnet50-random"}
OF_STRANGERS = [
    f"their_swav,imagenet1k,linear_lbfgs,top1,63.2,50000,0,0.1{MORE}",
    f"resnet50-random,imagenet1k,linear_lbfgs,top1,4.4,50000,0,0.1{MORE}",
    f"vit,fractals,knn20,top1,77.5,100,,10{MORE}",
]


def test_the_random_encoder_stands_beside_and_is_a_row_of_its_own(tmp_path: Path):
    path = table(
        tmp_path,
        "a,t,knn20,top1,50,1,,1",
        "b,t,knn20,top1,60,1,,1",
        "r-random,t,knn20,top1,20,1,,1",
        "a-untrained,t,knn20,top1,10,1,,1",
        "c,t,knn20,top1,30,1,,1",
    )
    twins = {"a": "a-untrained", "b": "r-random", "c": "a-untrained"}  # c has no untrained one of its own
    found = {score.run: score.difference for score in read_results(path, twins)}
    assert found == {"a": 40, "b": 40, "c": 20, "r-random": None}


def test_they_are_told_apart_on_the_page_and_their_weights_stand_beside_the_published_figure(tmp_path: Path):
    page = make_page(tmp_path, ROWS, [*RESULTS, *OF_STRANGERS], strangers=STRANGERS, twins=TWINS)
    text = Page(page).text
    assert "not trained here: timm test_vit (timm/test_vit)" in text and HOSTILE not in page
    assert "77.5" in text and "+58.8" in text
    rows = [re.findall(r">([^<>]*)</td>", row) for row in re.findall(r"<tr><td>PASS.*?</tr>", page, flags=re.DOTALL)]
    (swav,) = (row for row in rows if row[1] == "SwAV")
    assert swav[4:] == ["60.8", "not run", "63.2", "55.5", "not run", "not run"]
    assert page.count("their weights here") == 2
    assert "their weights here" not in make_page(tmp_path, ROWS)


def test_what_was_learnt_speaks_of_our_runs(tmp_path: Path):
    (tmp_path / "results.csv").write_text("\n".join([*RESULTS, *OF_STRANGERS]) + "\n")
    settings = WriteReportSettings.model_validate_json(recipe(strangers=STRANGERS, twins=TWINS))
    scores = read_results(tmp_path / "results.csv", settings.twins)
    assert any(score.run == "their_swav" and score.difference for score in scores)
    assert "in 1 of 1 comparison; differences from +11.2 to +11.2" in _learnt(scores, settings)


def test_the_table_of_published_figures_names_the_published_files():
    assert {figure.checkpoint for figure in PUBLISHED} == {"", *CHECKPOINTS}
    for figure in PUBLISHED:
        if figure.checkpoint:
            known = CHECKPOINTS[figure.checkpoint]
            assert figure.epochs.split()[0] == str(known.epochs)
            assert figure.encoder == {"resnet50": "ResNet-50", "resnet18": "ResNet-18"}.get(
                known.architecture, "ViT-S/16"
            )
            assert figure.ours is None or figure.ours == (known.method, known.architecture, known.epochs)
