"""From labelled images to operating points: curves, thresholds for a wanted recall, and what the filter does by group.

The labels are joined with what the detectors measured. For each detector, and for each committee fitted here, the step
writes the ROC curve, the thresholds for the wanted recall and for the allowed false rejects, and the band between them
that a reviewer would have to look at. All is counted where it was chosen and, by cross-validation, where it was not.

Nothing here changes a verdict. A person reads the figures and copies a rule from `rules.yaml` to `filter.rules`.
"""

from __future__ import annotations

import argparse
import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scripts.filter.committee import fit_committee
from scripts.filter.labels import Labelled, image_ids_of, read_labels
from scripts.filter.measured import COLUMNS, Measured, in_order, measure
from scripts.filter.operating_points import Measurement, Rows, Scorer, measure_scorer, share_of
from scripts.filter.roc import Flags, Scores
from scripts.filter.roc_figure import describe, roc_figure
from scripts.filter.rule_settings import CommitteeRule, ScoreRule
from scripts.filter.rules import apply_rules, committee_scores
from scripts.filter.tune_settings import Committee, TuneSettings
from scripts.filter.tuned_tables import points_lines, points_rows, rules_text
from scripts.lib.errors import UserError
from scripts.lib.figure_style import write_figure
from scripts.lib.files import read_tables, write_csv, write_text
from scripts.lib.flags import input_file, output_file, outside_data
from scripts.lib.reasons import FilterReason
from scripts.lib.recipe import read_recipe, write_recipe
from scripts.lib.step import run_step, step_parser
from scripts.lib.tables import CANDIDATES, DETECTIONS, INSPECTIONS
from scripts.lib.tune_figures import Count, TuneFigures

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sample:
    """The labelled images that all detectors measured, in order of id."""

    image_ids: list[str]
    rows: list[Labelled]
    found: dict[str, Measured]  # detector → measurements in the same order

    def subset(self, chosen: Rows) -> Sample:
        """Return some of the images."""
        found = {name: Measured(each.scores[chosen], each.areas[chosen]) for name, each in self.found.items()}
        return Sample([self.image_ids[i] for i in chosen], [self.rows[i] for i in chosen], found)


def detector_scorer(measured: Measured) -> Scorer:
    """Return the scores of a detector, whatever rows are given."""
    scores = measured.scores.astype(np.float64)
    return lambda rows: scores


def committee_scorer(committee: Committee, sample: Sample, person: Flags, settings: TuneSettings) -> Scorer:
    """Return the scores of a committee that is fitted on the rows given."""

    def score(rows: Rows) -> Scores:
        rule = fit_committee(
            committee, sample.found, person, rows, score_range=settings.score_range, ridge=settings.ridge
        )
        return committee_scores(rule, sample.found)

    return score


def measure_all(sample: Sample, person: Flags, settings: TuneSettings) -> list[Measurement]:
    """Return the measurements of all detectors and committees on images that are people or not."""
    first = [row.strata[0] if row.strata else "" for row in sample.rows]
    groups = [f"{flag} {stratum}" for flag, stratum in zip(person.tolist(), first, strict=True)]
    shared: Any = {"image_ids": sample.image_ids, "groups": groups, "limits": settings}
    measured = []
    for name in settings.detectors:
        scorer = detector_scorer(sample.found[name])
        measured.append(measure_scorer(name, "detector", scorer, person, **shared))
    for committee in settings.committees:
        scorer = committee_scorer(committee, sample, person, settings)
        measured.append(measure_scorer(committee.name, "committee", scorer, person, **shared))
    return measured


def count_filter(
    name: str, rules: Sequence[ScoreRule | CommitteeRule], sample: Sample, settings: TuneSettings
) -> list[Count]:
    """Return what rules do with the images of each label, and with those of each stratum."""
    groups: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for row, (reason, _) in zip(sample.rows, apply_rules(rules, sample.found, len(sample.rows)), strict=True):
        groups["", "", row.label].append(reason)
        for column, value in zip(settings.labels.strata, row.strata, strict=True):
            if value:
                groups[column, value, row.label].append(reason)
    counts = []
    for (column, value, label), reasons in sorted(groups.items()):
        kept, waiting = reasons.count(""), reasons.count(str(FilterReason.AWAITS_REVIEW))
        shares = {
            what: share_of(hits, len(reasons), settings.confidence)
            for what, hits in (("dropped", len(reasons) - kept - waiting), ("in_review", waiting), ("kept", kept))
        }
        counts.append(
            Count.model_validate({"filter": name, "column": column, "value": value, "label": label, **shares})
        )
    return counts


def tune(sample: Sample, unseen: int, settings: TuneSettings) -> tuple[TuneFigures, list[Measurement], Flags]:
    """Return all figures, the measurements for the curves, and which of their images show people.

    Raises:
        UserError: fewer images of a class than folds.
    """
    labels = settings.labels
    counted = np.array([row.label in (*labels.people, *labels.no_people) for row in sample.rows], bool)
    clear = sample.subset(np.flatnonzero(counted))
    person = np.array([row.label in labels.people for row in clear.rows], bool)
    people, others = int(person.sum()), int((~person).sum())
    if min(people, others) < settings.folds:
        raise UserError(
            f"of the labelled images, the detectors saw {people} with people and {others} without, and "
            f"{settings.folds} folds need as many of each ({unseen} were not seen: not candidates, not downloaded or "
            "undecodable). Check filter.labels (image_column, match) in the config, or label images of this collection"
        )
    measured = measure_all(clear, person, settings)
    counts = count_filter("configured", settings.rules, sample, settings)
    if settings.reference:
        counts += count_filter("reference", settings.reference, sample, settings)
    apart = Counter(row.label for row, clearly in zip(sample.rows, counted.tolist(), strict=True) if not clearly)
    figures = TuneFigures(
        people=people,
        others=others,
        apart=dict(sorted(apart.items())),
        unseen=unseen,
        wanted_recall=settings.wanted_recall,
        max_false_rejects=settings.max_false_rejects,
        confidence=settings.confidence,
        folds=settings.folds,
        repeats=settings.repeats,
        curves=tuple(each.curve for each in measured),
        points=tuple(point for each in measured for point in each.points),
        counts=tuple(counts),
    )
    return figures, measured, person


def fitted_rules(sample: Sample, settings: TuneSettings) -> list[CommitteeRule]:
    """Return the committees fitted on all labelled images that are clearly people or not."""
    labels = settings.labels
    rows = np.flatnonzero([row.label in (*labels.people, *labels.no_people) for row in sample.rows])
    person = np.array([row.label in labels.people for row in sample.rows], bool)
    return [
        fit_committee(committee, sample.found, person, rows, score_range=settings.score_range, ridge=settings.ridge)
        for committee in settings.committees
    ]


def read_sample(arguments: argparse.Namespace, settings: TuneSettings) -> tuple[Sample, int]:
    """Return the labelled images that all detectors measured, and how many others there are."""
    rows = read_labels(Path(arguments.labels), settings.labels)
    places = None
    if settings.labels.match == "path":
        listed = read_tables(
            [path for path in arguments.candidates if path], CANDIDATES, columns=["locator", "image_id"]
        )
        places = zip(listed["locator"].to_pylist(), listed["image_id"].to_pylist(), strict=True)
    wanted = image_ids_of(rows, places)
    ids = pa.array(sorted(wanted), pa.string())
    by_name: dict[str, list[str]] = defaultdict(list)
    for path in (*arguments.faces, *arguments.people):
        if path:
            by_name[Path(path).parent.name].append(path)
    if set(by_name) != set(settings.detectors):
        raise UserError(
            f"the recipe names the detectors {sorted(settings.detectors)}, the tables are of {sorted(by_name)}"
        )
    tables = {}
    seen = set(ids.to_pylist())
    for name, paths in sorted(by_name.items()):
        table = read_tables(paths, DETECTIONS, columns=[*COLUMNS, "boxes"], filters=pc.field("image_id").isin(ids))
        tables[name] = table.filter(pc.equal(table["reason"], ""))
        seen &= set(tables[name]["image_id"].to_pylist())
    image_ids = sorted(seen)
    columns = ["image_id", "width", "height"]
    shapes = read_tables(arguments.inspections, INSPECTIONS, columns=columns, filters=pc.field("image_id").isin(ids))
    sizes = {row["image_id"]: (row["width"], row["height"]) for row in shapes.to_pylist()}
    found = {name: measure(in_order(table, image_ids), sizes) for name, table in tables.items()}
    LOG.info("%d labelled images, %d of them measured by %d detectors", len(rows), len(image_ids), len(found))
    return Sample(image_ids, [wanted[image_id] for image_id in image_ids], found), len(rows) - len(image_ids)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="JSON of TuneSettings")
    parser.add_argument("--labels", required=True, type=outside_data, help="CSV of labelled images")
    parser.add_argument(
        "--candidates", nargs="*", default=[], type=input_file, help="CANDIDATES, when labels name places in a source"
    )
    parser.add_argument("--inspections", nargs="*", default=[], type=input_file, help="INSPECTIONS of all parts")
    parser.add_argument(
        "--faces", nargs="*", default=[], type=input_file, help="DETECTIONS at <detector>/<part>.parquet"
    )
    parser.add_argument(
        "--people", nargs="*", default=[], type=input_file, help="DETECTIONS at <detector>/<part>.parquet"
    )
    parser.add_argument("--figures", required=True, type=output_file, help="JSON: everything, for the report")
    parser.add_argument("--points", required=True, type=output_file, help="CSV: the operating points")
    parser.add_argument(
        "--rules", required=True, type=output_file, help="YAML: the committees as rules, to be copied by hand"
    )
    parser.add_argument("--png", required=True, type=output_file, help="the curves as a picture")
    parser.add_argument("--svg", required=True, type=output_file, help="the same as a drawing")
    arguments = parser.parse_args(argv)
    settings = read_recipe(TuneSettings, arguments.recipe)
    sample, unseen = read_sample(arguments, settings)
    figures, measured, person = tune(sample, unseen, settings)
    for line in points_lines(figures):
        LOG.info("%s", line)
    header, *rows = points_rows(figures)
    write_csv(arguments.points, [str(name) for name in header], rows)
    write_text(arguments.rules, rules_text(fitted_rules(sample, settings), figures))
    title = "Recall and false rejects on labelled images"
    write_figure(roc_figure(measured, person, figures), arguments.png, arguments.svg, title, describe(figures))
    write_text(arguments.figures, write_recipe(figures) + "\n")
    LOG.info("wrote %s", arguments.figures.parent)


if __name__ == "__main__":
    run_step(main)
