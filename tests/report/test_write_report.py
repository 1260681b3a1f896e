from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from scripts.lib.errors import UserError
from scripts.lib.human_figures import LeakRate, ReviewFigures
from scripts.lib.reasons import all_reasons
from scripts.lib.sheet import draw_sheet, encode_sheet
from scripts.lib.tables import RESULT_COLUMNS
from scripts.report.count_funnel import main as count_funnel
from scripts.report.draw_contact_sheets import main as draw_contact_sheets
from scripts.report.draw_curves import main as draw_curves
from scripts.report.draw_funnel import main as draw_funnel
from scripts.report.draw_positions import main as draw_positions
from scripts.report.duplicate_figures import DuplicateFigures, write_figures
from scripts.report.run_values import read_diagnoses
from scripts.report.write_report import main
from tests.report.made import (
    HOSTILE,
    account_flags,
    jpeg,
    selection_row,
    train_recipe,
    write_account,
    write_part,
    write_selection,
)
from tests.report.people import NOBODY, one_audit, people_flags, two_reviewers

VOID = {"meta", "img", "br", "path", "rect", "use", "line", "circle"}
MORE = "," * (len(RESULT_COLUMNS) - 8)  # the columns that may be empty
RESULTS = [
    ",".join(RESULT_COLUMNS),
    f"run_one,fractals,knn20,top1,41.25,100,,10{MORE}",
    f"run_one-untrained,fractals,knn20,top1,30.0,100,,10{MORE}",
    *(f"run_one,imagenet1k,linear_lbfgs,top1,{59 + seed},50000,{seed},0.1{MORE}" for seed in range(3)),
]


class Page(HTMLParser):
    """Collects tags, attributes, ids and text, and checks that tags close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.attributes, self.ids, self.texts, self.open = set(), [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]):
        self.tags.add(tag)
        self.attributes += attributes
        self.ids += [value for name, value in attributes if name == "id"]

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]):
        self.handle_startendtag(tag, attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str):
        assert self.open.pop() == tag

    def handle_data(self, data: str):
        if self.open[-1:] != ["style"]:
            self.texts.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.texts))


def recipe(**given: Any):
    settings = {
        "title": f"Photographs {HOSTILE}",
        "detectors": [
            {"name": "retinaface", "kind": "retinaface", "target": "face", "demo_grade": False},
            {"name": "hog", "kind": "hog", "target": "person", "demo_grade": True},
        ],
        "runs": [
            {
                "name": "run_one",
                "method": "moco_v2",
                "encoder": "resnet50",
                "epochs": "200",
                "cost": HOSTILE,
                "expected": "59.5 <b>",
            }
        ],
        "strangers": [],
        "twins": {},
        "figures": {"fractals": ["top1"], "imagenet1k": ["top1"]},
        "finetuned": ["semi_1"],
        "review_pages": "../filter/list_review_pages.html",
        "rules": [
            {"name": "face", "reason": "face", "drop": "retinaface ≥ 0.5", "review": ""},
            {"name": "person", "reason": "person", "drop": "hog ≥ 0.9", "review": "hog ≥ 0.7"},
        ],
    }
    return json.dumps(settings | given)


def share(value: float, images: int = 100):
    return {"share": value, "low": value - 0.05, "high": value + 0.05, "images": images}


def tuning_files(folder: Path) -> list[str]:
    """Write what tune_threshold writes for one committee and return the flags that name it."""
    point = {"scorer": "both", "drop": None, "review": None, "reading": "held_out"}
    nothing = {"people_in_review": share(0.0), "others_in_review": share(0.0)}
    count = {"column": "", "value": "", "label": f"person{HOSTILE}", "in_review": share(0.2)}
    figures = {
        "people": 227,
        "others": 409,
        "apart": {"statue": 14},
        "unseen": 3,
        "wanted_recall": 0.99,
        "max_false_rejects": 0.1,
        "confidence": 0.95,
        "folds": 5,
        "repeats": 20,
        "curves": [
            {"scorer": "both", "kind": "committee", "area": 0.978, "low": 0.97, "high": 0.99, "apparent_area": 0.98}
        ],
        "points": [
            {**point, **nothing, "aim": "recall", "people_dropped": share(0.986), "others_dropped": share(0.302)},
            {**point, **nothing, "aim": "false_rejects", "people_dropped": share(0.9), "others_dropped": share(0.1)},
            {
                **point,
                "aim": "band",
                "people_dropped": share(0.9),
                "others_dropped": share(0.1),
                "people_in_review": share(0.0875),
                "others_in_review": share(0.2),
            },
        ],
        "counts": [
            {"filter": name, **count, "dropped": share(dropped), "kept": share(0.8 - dropped)}
            for name, dropped in (("configured", 0.7), ("reference", 0.6))
        ],
    }
    (folder / "figures.json").write_text(json.dumps(figures))
    return ["--tuning", str(folder / "figures.json"), "--tuning-figure", str(folder / "f.svg")]


NO_DUPLICATES = DuplicateFigures(clusters=0, largest=0, exact=0, near=0, mirrored=0, turned=0, by_distance={})


DIAGNOSIS = {
    "run": "run_one",
    "level": "bad",
    "findings": [
        {"level": "bad", "text": f"Collapsed: {HOSTILE}.", "advice": "Lower the rate."},
        {"level": "good", "text": "RankMe is 110.", "advice": ""},
    ],
}


def make_page(
    folder: Path,
    rows: list[dict[str, Any]],
    results: Sequence[str] = RESULTS,
    sheets: Sequence[str] = ("kept", "face", "not_sampled"),
    reviews: ReviewFigures = NOBODY,
    leak: LeakRate | None = None,
    tuned: bool = False,
    mapped: bool = False,
    duplicates: DuplicateFigures = NO_DUPLICATES,
    **given: Any,
) -> str:
    """Run all steps of the report on made inputs and return the page's text."""
    folder.mkdir(exist_ok=True)
    account = write_account(folder / "a-000.json", len(rows) + 7, len(rows), {"licence": 5, "not_a_photo": 2})
    selection = write_selection(folder / "select.parquet", rows)
    write_part(folder, "0", {row["image_id"]: jpeg(index) for index, row in enumerate(rows)}, {})
    funnel = str(folder / "funnel.json")
    count_funnel([*account_flags(account), "--selection", str(selection), "--out", funnel])
    draw_funnel(["--funnel", funnel, "--png", str(folder / "f.png"), "--svg", str(folder / "f.svg")])
    metrics = folder / "metrics.csv"
    metrics.write_text("step,epoch,loss,learning_rate\n" + "".join(f"{step},0,5.{step},0.1\n" for step in range(9)))
    monitor = folder / "monitor.csv"
    monitor.write_text("step,epoch,knn,chance,rank_me,feature_std,dimensions,images\n")
    curves = [str(folder / "run_one.png"), "--svg", str(folder / "run_one.svg")]
    told = ["--metrics", str(metrics), "--monitor", str(monitor)]
    draw_curves(["--recipe", train_recipe(512), *told, "--png", *curves])
    (folder / "run_one.json").write_text(json.dumps(DIAGNOSIS))
    (folder / "run_one").mkdir(exist_ok=True)
    (folder / "run_one" / "views.png").write_bytes(encode_sheet(draw_sheet("views", [], 1, 32), f"Views {HOSTILE}"))
    paths = [str(folder / f"{name}.png") for name in sheets]
    files = ["--tars", str(folder / "0.tar"), "--statuses", str(folder / "0.parquet"), "--faces", "--sheets", *paths]
    settings = json.dumps({"images": 4, "columns": 2, "thumbnail": 32, "seed": 0})
    draw_contact_sheets(["--recipe", settings, "--selection", str(selection), *files])
    (folder / "results.csv").write_text("\n".join(results) + "\n")
    figures = ["--funnel", funnel, "--funnel-figure", str(folder / "f.svg"), "--curves", str(folder / "run_one.svg")]
    figures += ["--diagnoses", str(folder / "run_one.json"), "--views", str(folder / "run_one" / "views.png")]
    write_figures(folder / "duplicates.json", duplicates)
    sheet = draw_sheet("near duplicates", [], 1, 32)
    (folder / "farthest.png").write_bytes(encode_sheet(sheet, "2 of 3 clusters"))
    twins = ["--duplicates", str(folder / "duplicates.json"), "--duplicate-sheets", str(folder / "farthest.png")]
    tables = [*twins, "--results", str(folder / "results.csv"), "--selection", str(selection)]
    tables += people_flags(folder, reviews, leak)
    draw_positions(["--selection", str(selection), "--png", str(folder / "p.png"), "--svg", str(folder / "p.svg")])
    tables += ["--positions", str(folder / "p.svg")]
    if mapped:
        (folder / "toy.png").write_bytes(encode_sheet(draw_sheet("map", [], 1, 32), f"40 test images {HOSTILE}"))
        tables += ["--maps", str(folder / "toy.png")]
    out = folder / "index.html"
    tuning = tuning_files(folder) if tuned else ["--tuning", "--tuning-figure"]
    main(["--recipe", recipe(**given), *figures, "--sheets", *paths, *tables, *tuning, "--out", str(out)])
    return out.read_text(encoding="utf-8")


ROWS = [
    selection_row("a", creator=HOSTILE, capture_device=HOSTILE, licence="CC-BY-2.0"),
    selection_row("b", "face", evidence=HOSTILE),
    selection_row("c", latitude=48.1, longitude=11.6),
    selection_row("d", "person"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory):
    return make_page(tmp_path_factory.mktemp("page"), ROWS)


def test_labelled_images_have_a_section_when_something_was_tuned(page: str, tmp_path: Path):
    assert "On labelled images" not in page and "#labelled" not in page
    found = Page(make_page(tmp_path / "page", ROWS, tuned=True))
    assert "227 images with people and 409 without, apart from them 14 statue. 3 labelled images are not" in found.text
    assert "0.978 [0.970, 0.990]" in found.text  # area
    assert "0.986 [0.936, 1.036] 0.302 [0.252, 0.352]" in found.text  # at the wanted recall
    assert "0.988 0.200 [0.150, 0.250]" in found.text  # people dropped or in review; others in review
    assert "0.700 [0.650, 0.750]" in found.text and "0.600 [0.550, 0.650]" in found.text  # configured, reference
    assert "labelled" in found.ids and len(set(found.ids)) == len(found.ids)
    assert not found.tags & {"script", "iframe"}


def test_the_rules_are_on_the_page_in_their_order(page: str):
    text = Page(page).text
    assert text.index("retinaface ≥ 0.5") < text.index("hog ≥ 0.9") < text.index("hog ≥ 0.7")


def test_the_page_holds_no_script_and_loads_nothing(page: str):
    found = Page(page)
    assert not found.tags & {"script", "iframe", "object", "embed", "link", "base", "form", "foreignobject"}
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    for name, value in found.attributes:
        if name in ("src", "href", "xlink:href", "action", "data"):
            assert value.startswith(("data:image/png;base64,", "#", "../filter/")), (name, value[:60])
    assert "@import" not in page and not re.search(r"url\((?!#)", page)
    policy = (
        dict(found.attributes)["content"] if False else re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    )
    assert policy and "default-src &#39;none&#39;" in policy[1] and "script-src" not in policy[1]


def test_sheets_are_embedded_as_they_are(tmp_path: Path):
    text = make_page(tmp_path, ROWS)
    found = [base64.b64decode(data) for data in re.findall(r'src="data:image/png;base64,([^"]*)"', text)]
    assert found == [(tmp_path / f"{name}.png").read_bytes() for name in ("kept", "face", "run_one/views")]


def test_hostile_texts_are_shown_as_text(page: str):
    assert "<script" not in page and "<img src=x" not in page
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200e\u200f\x00-\x08\x0b-\x1f\x7f]", page)
    assert "<script>alert(1)</script>" in Page(page).text


def test_what_the_curves_say_stands_under_them(page: str):
    text = Page(page).text
    assert text.index("Expected: 59.5 <b>") < text.index("Loss of 1 epoch") < text.index("Bad Collapsed: <script>")
    assert "Lower the rate. Good RankMe is 110. What the network sees" in text


@pytest.mark.parametrize("content", ["", "{}", '{"run": "a", "level": "fine", "findings": []}'])
def test_a_diagnosis_of_another_kind_is_refused(tmp_path: Path, content: str):
    (tmp_path / "run_one.json").write_text(content)
    with pytest.raises(UserError, match=r"run_one\.json is no diagnosis .*: delete it and run again"):
        read_diagnoses([tmp_path / "run_one.json"])


def test_no_two_elements_share_an_id(page: str):
    ids = Page(page).ids
    assert len(ids) == len(set(ids)) > 20


def test_links_inside_the_page_lead_somewhere(page: str):
    found = Page(page)
    targets = {value[1:] for name, value in found.attributes if name == "href" and value.startswith("#")}
    assert targets and targets <= set(found.ids)


def test_duplicates_are_told_and_shown(tmp_path: Path, page: str):
    assert "No two images have the same bytes or look the same." in Page(page).text
    figures = {"clusters": 1234, "largest": 7, "exact": 5, "near": 1300, "mirrored": 9, "turned": 3}
    found = DuplicateFigures(**figures, by_distance={"0": 1200, "6": 100})
    text = make_page(tmp_path / "page", ROWS, duplicates=found)
    assert "1,234 clusters: one image of each" in Page(text).text
    assert "5 have the same bytes and 1,300 look the same (9 mirrored, 3 turned;" in Page(text).text
    assert "1,200 at 0, 100 at 6" in Page(text).text
    assert base64.b64encode((tmp_path / "page" / "farthest.png").read_bytes()).decode() in text
    assert "near duplicates, farthest: 2 of 3 clusters" in text


def test_maps_of_test_images_are_shown_with_the_results(tmp_path: Path, page: str):
    assert "What lies near what" not in page
    text = make_page(tmp_path / "run_one", ROWS, mapped=True)
    assert (
        "What lies near what" in text
        and base64.b64encode((tmp_path / "run_one" / "toy.png").read_bytes()).decode() in text
    )
    assert "run_one on toy 40 test images <script>alert(1)</script>" in Page(text).text


def test_the_numbers_are_there(page: str):
    text = Page(page).text
    assert "11 rows read = 2 kept + 9 rejected (7 metadata and licence + 2 people) ✓ adds up" in text
    for reason in all_reasons():
        assert reason in text
    assert "at least one is demo-grade" in text and "Not fit to clear a dataset" in text
    assert "≥ 0.9" in text and "ln(1 + K)" in text
    assert "41.2" in text and "+11.2" in text and "60.0" in text and "± 1.0, 3 seeds" in text
    assert "no image ended under: not sampled" in text.lower()
    assert "1 of 2 kept images (50.0 %) carry a position, in 1 square of 5 degrees; at most 1 in one." in text
    assert "1,440,191 in version 1" in text and "every selected image" in text


def test_our_figure_stands_beside_the_same_experiment_only(page: str):
    rows = re.findall(r"<tr><td>(?:PASS|ImageNet-1k).*?</tr>", page, flags=re.DOTALL)
    cells = [re.findall(r">([^<>]*)</td>", row) for row in rows]
    own = {(row[1], row[2], row[3]): (row[5], row[7]) for row in cells if row[0] == "PASS"}
    assert own["MoCo-v2", "ResNet-50", "200"] == ("60.0", "not run")
    assert all(value == ("not run", "not run") for key, value in own.items() if key[2] != "200" or key[0] != "MoCo-v2")
    assert len(own) == 8


def test_equal_inputs_give_equal_bytes(tmp_path: Path, page: str):
    assert make_page(tmp_path / "again", ROWS) == page


def test_a_run_without_results_demo_detectors_or_kept_images(tmp_path: Path):
    detectors = [{"name": "retinaface", "kind": "retinaface", "target": "face", "demo_grade": False}]
    rows = [selection_row("a", "face")]
    text = Page(make_page(tmp_path, rows, RESULTS[:1], detectors=detectors, runs=[])).text
    assert "No encoder was evaluated" in text and "nothing was trained" in text
    assert "Not fit to clear" not in text and "None of 8 rows" in text
    assert "places205" in text


def test_what_nobody_looked_at_is_said(page: str):
    text = Page(page).text
    assert "No image was looked at by a reviewer. No image awaits review." in text
    assert "Not audited: no sample of the kept images has been looked at" in text
    assert "How many people are left in the selection. Not audited" in text
    assert 'href="../filter/list_review_pages.html"' in page


def test_review_and_audit_are_told(tmp_path: Path):
    rows = [*ROWS, selection_row("e", "awaits_review"), selection_row("f", "awaits_review")]
    page = make_page(tmp_path, rows, reviews=two_reviewers(HOSTILE), leak=one_audit(), review_pages="")
    text = Page(page).text
    assert "2 reviewers looked at 50 images: 30 keep, 20 drop." in text
    assert "2 of them were dropped although another reviewer would keep them." in text
    assert "equal verdicts on 95.0 %; Cohen's kappa of <script>" in text and "and Bob: 0.78 (40 images)." in text
    assert text.count("2 images await review, left out until then.") == 2
    assert (
        text.count("None of 2,995 images drawn by lot from 90,000 kept shows a person: the leak rate is below 0.10 %")
        == 2
    )
    assert "People whom 1 auditor overlooked" in text and "How many people are left in the selection" not in text
    assert "<script" not in page and "list_review_pages.html" not in page


def test_what_was_not_measured_of_whole_networks_is_said(tmp_path: Path) -> None:
    frozen = "Fine-tuning of whole networks: only frozen encoders are measured."
    dense = "Transfer to detection, instance segmentation, key points, semantic segmentation."
    text = Page(make_page(tmp_path, ROWS)).text
    assert frozen in text and dense in text
    tuned = [f"run_one,imagenet1k,semi_1,top1,40,100,,1{MORE}", f"run_one,coco,coco_fpn,box_ap,30,100,,0{MORE}"]
    text = Page(make_page(tmp_path, ROWS, [*RESULTS, *tuned])).text
    assert frozen not in text and "Transfer to instance segmentation, key points, semantic segmentation." in text
