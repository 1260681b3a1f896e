"""docs/paper_map.md leads to what is there, and the paper's own report shows the paper's figures with their source."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.report.published import PUBLISHED
from scripts.report.settings import WriteReportSettings
from tests.conftest import ROOT
from tests.report.test_write_report import ROWS, make_page
from tests.wiring.test_plan import plan
from tests.wiring.test_rules import rules

CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
LINES = [
    [cell.strip() for cell in line.strip().strip("|").split("|")]
    for line in (ROOT / "docs/paper_map.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith(("| paper, datasheet", "|---"))
]
# What the paper, its datasheet and its README show as a table or figure of results, by what its line begins with.
SHOWN = {
    "linear probe, ImageNet-1k and Places205": {"embed", "linear_probe"},
    "published checkpoints": {"import_encoder", "embed"},
    "kNN, low-shot, few-shot": {"knn", "low_shot", "few_shot", "linear_svm", "cluster", "rank_me"},
    "detection and instance segmentation": {"list_annotations", "finetune_detector"},
    "semi-supervised": {"finetune_classifier"},
    "semantic segmentation": {"finetune_segmenter"},
    "LVIS, DensePose": set(),
    "funnel and tables": {"count_funnel", "write_report"},
}
# The table of the PASS README, as read on its page (reference of the project); linear probe, top-1.
README = [
    *(("MoCo-v2", "200", 60.6, 50.1), ("MoCo-v2", "180 of 200", 59.1, 52.8), ("MoCo-v2", "200", 59.5, 52.8)),
    *(("MoCo-v2", "800", 61.2, 54.0), ("MoCo-v2", "800", 45.3, 44.4), ("MoCo-v2-CLD", "200", 60.2, 53.1)),
    *(("SwAV", "200", 60.8, 55.5), ("DINO", "100", 61.3, 54.6), ("DINO", "300", 65.0, 55.7)),
]


def names_in(value: Any) -> set[str]:
    """Return all values of `name` in a configuration, and all its keys."""
    if isinstance(value, dict):
        own = {str(value["name"])} if "name" in value else set()
        return own | set(map(str, value)) | {name for each in value.values() for name in names_in(each)}
    return {name for each in value for name in names_in(each)} if isinstance(value, list) else set()


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[0][:40])
def test_each_line_of_the_map_leads_to_rules_and_files(line: list[str]) -> None:
    paper, named, where = line
    assert paper
    for rule in re.findall(r"`(\w+)`", named):
        assert rule in rules(), rule
    assert re.findall(r"`", named) or named == "–" or "filter." in where, line
    known = names_in(CONFIG)
    for name in re.findall(r"`([^`]+)`", where):
        if "/" in name:
            assert (ROOT / name).exists(), name
        elif name != "config.yaml":
            assert set(name.split(".")) <= known, name
    for number in re.findall(r"decisions\.md#(\d+)", where):
        assert f"\n{number}. **" in (ROOT / "docs/decisions.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("start", SHOWN)
def test_each_table_of_the_paper_has_a_line(start: str) -> None:
    (line,) = [line for line in LINES if line[0].startswith(start)]
    assert SHOWN[start] <= set(re.findall(r"`(\w+)`", line[1]))
    assert SHOWN[start] or "not built" in line[2]


def test_the_published_figures_are_those_of_the_readme() -> None:
    assert [(each.method, each.epochs, each.imagenet, each.places) for each in PUBLISHED] == README


def test_the_report_of_the_papers_run_shows_them_with_their_source(tmp_path: Path) -> None:
    settings = WriteReportSettings.model_validate_json(plan().write_report_recipe())
    own = {(run["method"], run["encoder"], int(run["epochs"])): run["name"] for run in settings.runs}
    results = [
        "run,task,protocol,metric,value,n,seed,chance,low,high,sd,repeats,selected_on,settings,inputs",
        *(
            f"{name},{task},linear_lbfgs,top1,{40 + place},50000,0,0.1,,,,,,,"
            for place, name in enumerate(own.values())
            for task in ("imagenet1k", "places205")
        ),
    ]
    given = json.loads(settings.model_dump_json())
    page = make_page(tmp_path, ROWS, results, runs=given["runs"], twins=given["twins"], figures=given["figures"])
    part = page[page.index('id="published"') : page.index('id="limits"')]
    rows = [re.findall(r">([^<>]*)</t[dh]>", row) for row in re.findall(r"<tr><td>.*?</tr>", part, flags=re.DOTALL)]
    assert [(row[-4], row[-2]) for row in rows] == [
        (f"{imagenet:.1f}", f"{places:.1f}") for _, _, imagenet, places in README
    ]
    # Each of the README's models that is our own experiment has our figure beside it.
    beside = [row[-3] for row in rows]
    assert [text != "not run" for text in beside] == [bool(each.ours) for each in PUBLISHED]
    assert sum(text != "not run" for text in beside) == len(own) == 7
    assert "Source: PASS README (github.com/yukimasano/PASS)" in re.sub(r"\s+", " ", part)
