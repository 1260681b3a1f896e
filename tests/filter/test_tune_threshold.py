from __future__ import annotations

import csv
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from scripts.filter.rule_settings import CommitteeRule
from scripts.filter.rules import apply_rules
from scripts.filter.tune_threshold import main
from scripts.lib.errors import UserError
from scripts.lib.recipe import read_recipe
from scripts.lib.tables import CANDIDATES, DETECTIONS, INSPECTIONS
from scripts.lib.tune_figures import TuneFigures
from tests.filter.made import candidate, detection, inspection, save
from tests.filter.test_rules import measured

PEOPLE, OTHERS = 80, 120
OUTPUTS = {"figures": "figures.json", "points": "points.csv", "rules": "rules.yaml", "png": "roc.png", "svg": "roc.svg"}


def recipe(**values: Any) -> str:
    labels = {
        "table": "",
        "image_column": "image",
        "match": "image_id",
        "label_column": "label",
        "people": ["person"],
        "no_people": ["none"],
        "strata": ["source", "note"],
    }
    rule = {"name": "r", "reason": "person", "combine": "any", "drop": {"pa": 0.7}, "review": {"fa": 0.6}}
    settings = {
        "labels": {**labels, **values.pop("labels", {})},
        "rules": [rule],
        "reference": [{**rule, "drop": {"fa": 0.5, "pa": 0.5}, "review": {}}],
        "detectors": ["fa", "pa"],
        "committees": [{"name": "both", "scores": ["pa", "fa"], "areas": ["pa"]}],
        "wanted_recall": 0.95,
        "max_false_rejects": 0.05,
        "score_range": [0.05, 0.99],
        "ridge": 1.0,
        "confidence": 0.95,
        "folds": 4,
        "repeats": 2,
        "bootstrap": 100,
        "seed": 0,
    }
    return json.dumps({**settings, **values})


class Case:
    """200 images in two parts: each detector sees some of the people, `pa` draws small boxes around them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        random = np.random.default_rng(0)
        self.ids = [f"image{index:03}" for index in range(PEOPLE + OTHERS)]
        self.labels = {name: "person" if index < PEOPLE else "none" for index, name in enumerate(self.ids)}
        self.notes = {name: "tiny" if index % 10 == 0 else "" for index, name in enumerate(self.ids)}
        self.scores = {
            name: {
                image_id: float(np.float32(np.clip(random.normal(0.35 + 0.3 * (index < PEOPLE), 0.15), 0, 1)))
                for index, image_id in enumerate(self.ids)
            }
            for name in ("fa", "pa")
        }
        self.boxes = {
            image_id: {"x0": 0.0, "y0": 0.0, "x1": 20.0 if index < PEOPLE else 150.0, "y1": 50.0, "score": 0.5}
            for index, image_id in enumerate(self.ids)
        }
        self.failed: set[str] = set()

    def run(self, text: str | None = None) -> TuneFigures:
        main(self.arguments(text))
        return read_recipe(TuneFigures, (self.folder / "figures.json").read_text())

    def arguments(self, text: str | None = None) -> list[str]:
        folder = self.folder
        table = folder / "labels.csv"
        with table.open("w", newline="") as handle:
            writer = csv.writer(handle)
            writer.writerow(["image", "label", "source", "note"])
            rows = [(name, self.labels[name], "ab"[index % 2], self.notes[name]) for index, name in enumerate(self.ids)]
            writer.writerows([*rows, ("unseen", "person", "a", "")])
        paths: dict[str, list[str]] = {"inspections": [], "fa": [], "pa": []}
        for part in range(2):
            mine = self.ids[part::2]
            name = f"{part}.parquet"
            paths["inspections"].append(
                save(folder / "inspect" / name, map(inspection, [*mine, f"x{part}"]), INSPECTIONS)
            )
            for detector in ("fa", "pa"):
                rows = [
                    detection(
                        image_id,
                        self.scores[detector][image_id],
                        boxes=[self.boxes[image_id]] if detector == "pa" else [],
                        reason="detector_failed" if image_id in self.failed else "",
                    )
                    for image_id in mine
                ]
                paths[detector].append(save(folder / detector / name, rows, DETECTIONS))
        listed = [candidate(name, locator=f"folder/{name}.jpg") for name in self.ids]
        outputs = [word for flag, name in OUTPUTS.items() for word in (f"--{flag}", str(folder / name))]
        return [
            *("--recipe", text or recipe(), "--labels", str(table), "--inspections", *paths["inspections"]),
            *("--candidates", save(folder / "candidates.parquet", listed, CANDIDATES)),
            *("--faces", *paths["fa"], "--people", *paths["pa"], *outputs),
        ]


def test_labels_to_figures(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    case = Case(tmp_path)
    case.labels["image001"] = "statue"
    case.failed = {"image003"}
    figures = case.run()
    assert (figures.people, figures.others, figures.apart, figures.unseen) == (78, 120, {"statue": 1}, 2)
    areas = {curve.scorer: curve.area for curve in figures.curves}
    assert list(areas) == ["fa", "pa", "both"]
    assert areas["both"] > max(areas["fa"], areas["pa"])
    assert "both: area under the curve" in caplog.text and "held out" in caplog.text
    rows = list(csv.DictReader((tmp_path / "points.csv").open()))
    assert len(rows) == 3 * 3 * 2
    assert {row["reading"] for row in rows} == {"apparent", "held_out"}
    assert (tmp_path / "roc.png").read_bytes()[:4] == b"\x89PNG"
    svg = (tmp_path / "roc.svg").read_text()
    assert "<title>Recall and false rejects" in svg and "a circle is both" in svg


def test_counts_by_label_and_stratum_are_those_of_the_rules(tmp_path: Path):
    case = Case(tmp_path)
    figures = case.run()
    counts = {(row.filter, row.column, row.value, row.label): row for row in figures.counts}
    for value, chosen in (("", case.ids), ("tiny", case.ids[::10]), ("b", case.ids[1::2])):
        people = [name for name in chosen if case.labels[name] == "person"]
        column = {"": "", "tiny": "note", "b": "source"}[value]
        row = counts["configured", column, value, "person"]
        dropped = [name for name in people if case.scores["pa"][name] >= 0.7]
        waiting = [name for name in people if case.scores["fa"][name] >= 0.6 and name not in dropped]
        assert row.dropped.images == row.kept.images == len(people)
        assert row.dropped.share == len(dropped) / len(people)
        assert row.in_review.share == len(waiting) / len(people)
        assert row.kept.share == pytest.approx(1 - (len(dropped) + len(waiting)) / len(people))
    other = counts["reference", "", "", "none"]
    found = [name for name in case.ids[PEOPLE:] if max(case.scores[each][name] for each in ("fa", "pa")) >= 0.5]
    assert other.dropped.share == len(found) / OTHERS and other.in_review.share == 0


def test_the_printed_rule_does_what_the_figures_say(tmp_path: Path):
    """Read rules.yaml as a person would copy it, and judge the same images by it."""
    case = Case(tmp_path)
    figures = case.run()
    (entry,) = yaml.safe_load((tmp_path / "rules.yaml").read_text())
    rule = CommitteeRule.model_validate_json(json.dumps(entry))
    point = next(p for p in figures.points if (p.scorer, p.aim, p.reading) == ("both", "band", "apparent"))
    assert (rule.drop, rule.review) == (point.drop, point.review)
    found = {name: measured(*scores.values()) for name, scores in case.scores.items()}
    shares = [(box["x1"] - box["x0"]) * 50 / (200 * 100) for box in case.boxes.values()]
    found["pa"].areas[:] = shares
    reasons = [reason for reason, _ in apply_rules([rule], found, len(case.ids))]
    assert reasons[:PEOPLE].count("person") / PEOPLE == point.people_dropped.share
    assert reasons[PEOPLE:].count("person") / OTHERS == point.others_dropped.share <= 0.05
    assert reasons[PEOPLE:].count("awaits_review") / OTHERS == point.others_in_review.share
    assert (reasons[:PEOPLE].count("person") + reasons[:PEOPLE].count("awaits_review")) / PEOPLE >= 0.95


def test_labels_may_name_files(tmp_path: Path):
    case = Case(tmp_path)
    by_id = case.run()
    arguments = case.arguments(recipe(labels={"match": "path"}))
    table = tmp_path / "labels.csv"
    table.write_text(table.read_text().replace("image0", "folder/image0").replace("image1", "image1"))
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0], *(line.replace(",", ".jpg,", 1) for line in lines[1:])]) + "\n")
    main(arguments)
    assert read_recipe(TuneFigures, (tmp_path / "figures.json").read_text()) == by_id


def test_equal_input_gives_equal_bytes_in_any_order_of_the_parts(tmp_path: Path):
    case = Case(tmp_path)
    case.run()
    first = {name: (tmp_path / name).read_bytes() for name in OUTPUTS.values()}
    arguments = case.arguments()
    for flag in ("--inspections", "--faces", "--people"):
        at = arguments.index(flag)
        arguments[at + 1], arguments[at + 2] = arguments[at + 2], arguments[at + 1]
    main(arguments)
    assert {name: (tmp_path / name).read_bytes() for name in OUTPUTS.values()} == first


def test_without_committees_the_rules_are_empty_and_the_figure_has_no_marks(tmp_path: Path):
    figures = Case(tmp_path).run(recipe(committees=[], reference=[]))
    assert yaml.safe_load((tmp_path / "rules.yaml").read_text()) is None
    assert "a circle" not in (tmp_path / "roc.svg").read_text()
    assert {row.filter for row in figures.counts} == {"configured"}


def test_too_few_labelled_images_of_this_collection(tmp_path: Path):
    case = Case(tmp_path)
    case.failed = set(case.ids[3:PEOPLE])
    with pytest.raises(UserError, match=r"saw 3 with people and 120 without, and 4 folds .* \(78 were not seen"):
        case.run()
    assert not (tmp_path / "figures.json").exists()


def test_tables_of_other_detectors_are_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"\['fa', 'pa', 'pb'\].*\['fa', 'pa'\]"):
        Case(tmp_path).run(recipe(detectors=["fa", "pa", "pb"]))
