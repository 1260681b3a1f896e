"""Give each candidate of a part its verdict: the first reason against it, in the order of the pipeline, or none.

Order: no bytes, does not decode, too small, single colour, duplicate, reviewer says drop, tagged person, thumbnail
differs, detector failed, then the rules of the config in their order (`scripts/filter/rules.py`), and last those that
ask for a reviewer: an image in a rule's band between review and drop is `awaits_review`, and not kept, until somebody
says `keep`. A reviewer's `keep` overrules metadata and detectors and nothing else: a duplicate of a kept image, or an
image that does not decode, stays dropped whatever a reviewer says. A score equal to a threshold is above it.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scripts.filter.embedded_signals import COLUMNS, judge_embedded
from scripts.filter.human_verdicts import HumanVerdict, read_human_verdicts
from scripts.filter.measured import Sizes, check_images, detectors_with_areas, measure, read_detections
from scripts.filter.rule_settings import detectors_of
from scripts.filter.rules import Judgement, apply_rules, at_least
from scripts.filter.settings import JudgeSettings
from scripts.filter.suspicion import check_measurements
from scripts.lib.accounting import account_for
from scripts.lib.duplicate_table import check_clusters
from scripts.lib.errors import UserError
from scripts.lib.files import read_tables, table_of, write_table
from scripts.lib.flags import input_file, optional_input, output_file
from scripts.lib.reasons import FilterReason
from scripts.lib.recipe import read_recipe
from scripts.lib.step import run_step, step_parser
from scripts.lib.tables import CANDIDATES, VERDICTS

LOG = logging.getLogger(__name__)

Row = Mapping[str, Any]
KEY = ("image_id", "source", "file", "row")


@dataclass(frozen=True)
class Evidence:
    """All that is known of the images of a part, by image id."""

    inspections: Mapping[str, Row]
    duplicates: Mapping[str, Row]
    detected: Mapping[str, Judgement]  # what the detectors' scores say, by the rules
    human: Mapping[str, HumanVerdict]


def judge_image(image_id: str, status: Row, known: Evidence, settings: JudgeSettings) -> Judgement:
    """Return the first reason against a candidate and what it rests on."""
    if status["reason"]:
        return status["reason"], status["detail"]
    inspection = known.inspections[image_id]
    if inspection["reason"]:
        return inspection["reason"], inspection["detail"]
    reason = judge_picture(inspection, settings) or judge_duplicate(known.duplicates.get(image_id))
    if reason is not None:
        return reason
    human = known.human.get(image_id)
    if human is not None:
        return (str(FilterReason.HUMAN_VERDICT) if human.verdict == "drop" else ""), human.evidence
    return judge_embedded(inspection, settings.embedded) or known.detected[image_id]


def judge_picture(inspection: Row, settings: JudgeSettings) -> Judgement | None:
    """Return what size and colour say against an image, None when nothing."""
    width, height = inspection["width"], inspection["height"]
    if min(width, height) < settings.min_side:
        return str(FilterReason.TOO_SMALL), f"{width} x {height}, shorter side < {settings.min_side}"
    if not at_least(inspection["colour_std"], settings.min_colour_std):
        return str(
            FilterReason.SINGLE_COLOUR
        ), f"colour_std {inspection['colour_std']:.3f} < {settings.min_colour_std:g}"
    return None


def judge_duplicate(duplicate: Row | None) -> Judgement | None:
    """Return that an image repeats another, None when it does not or is the one that is kept."""
    if duplicate is None or not duplicate["reason"]:
        return None
    mirrored = ", mirrored" if duplicate["mirrored"] else ""
    return duplicate["reason"], f"of {duplicate['cluster']}, distance {duplicate['distance']}{mirrored}"


def judge_detections(
    tables: Mapping[str, pa.Table], sizes: Sizes, settings: JudgeSettings, paths: Mapping[str, str]
) -> dict[str, Judgement]:
    """Return what the detectors say of each image of a part: a failed one first, then the rules.

    Args:
        tables: detector → DETECTIONS rows, all in the order of `sizes`.
        sizes: width and height of each image of the part that decodes.
        settings: the rules, and how many images alike are suspicious.
        paths: detector → where its table lies, for errors.

    Raises:
        UserError: what a detector measured on many images cannot be right.
    """
    image_ids = list(sizes)
    failed: dict[str, list[str]] = {}
    for name, table in sorted(tables.items()):
        bad = table.filter(pc.not_equal(table["reason"], "")).select(["image_id", "detail"]).to_pylist()
        for row in bad:
            failed.setdefault(row["image_id"], []).append(f"{name}: {row['detail']}")
    measured = [image_id for image_id in image_ids if image_id not in failed]
    kept = pc.is_in(pa.array(image_ids, pa.string()), value_set=pa.array(measured, pa.string()))
    found = {name: measure(table.filter(kept), sizes) for name, table in tables.items()}
    check_measurements(settings.rules, found, paths, len(measured), settings.suspicious_from)
    judged = dict(zip(measured, apply_rules(settings.rules, found, len(measured)), strict=True))
    return judged | {
        image_id: (str(FilterReason.DETECTOR_FAILED), "; ".join(texts)) for image_id, texts in failed.items()
    }


def judge_part(status: pa.Table, known: Evidence, settings: JudgeSettings) -> pa.Table:
    """Return VERDICTS for the candidates of a part, in the order of `status`."""
    rows = []
    for candidate in status.select([*KEY, "reason", "detail"]).to_pylist():
        reason, evidence = judge_image(candidate["image_id"], candidate, known, settings)
        rows.append({**{name: candidate[name] for name in KEY}, "reason": reason, "evidence": evidence or ""})
    LOG.info("verdicts: %s", account_for(status.num_rows, (row["reason"] for row in rows)))
    overruled = [row["image_id"] for row in rows if row["reason"] and _says_keep(known.human, row["image_id"])]
    if overruled:
        LOG.warning(
            "%d images that a reviewer wants kept stay dropped, for reasons that come before the review (first: %s)",
            len(overruled),
            overruled[0],
        )
    return table_of(rows, VERDICTS)


def _says_keep(human: Mapping[str, HumanVerdict], image_id: str) -> bool:
    return image_id in human and human[image_id].verdict == "keep"


def check_candidates(candidates: pa.Table, status: pa.Table) -> None:
    """Fail unless `status` has exactly the rows of `candidates`.

    Raises:
        UserError: a candidate without a status or the other way round.
    """
    due = Counter(zip(*(candidates[name].to_pylist() for name in KEY), strict=True))
    got = Counter(zip(*(status[name].to_pylist() for name in KEY), strict=True))
    if due != got:
        first = sorted(((due - got) + (got - due)).elements())[0]
        raise UserError(
            f"the download's status table has {got.total()} rows where the part has {due.total()} candidates (first "
            f"difference: {first}): the files are of different runs. Run `download` of this part again"
        )


def rows_by_image(table: pa.Table, what: str) -> dict[str, Row]:
    """Return the rows of a table by image id.

    Raises:
        UserError: an image has two rows.
    """
    rows = {row["image_id"]: row for row in table.to_pylist()}
    if len(rows) != table.num_rows:
        raise UserError(f"{what} has {table.num_rows} rows for {len(rows)} images: make it again")
    return rows


def read_evidence(arguments: Any, status: pa.Table, settings: JudgeSettings) -> Evidence:
    """Read and cross-check all tables of a part."""
    columns = ["image_id", "reason", "detail", "width", "height", "colour_std", *COLUMNS]
    inspections = rows_by_image(pq.read_table(arguments.inspection, columns=columns), str(arguments.inspection))
    stored = status.filter(pc.equal(status["reason"], ""))["image_id"].to_pylist()
    check_images(stored, inspections, str(arguments.inspection))
    usable = [image_id for image_id, row in inspections.items() if not row["reason"]]
    duplicates = pq.read_table(arguments.duplicates)
    check_clusters(duplicates, str(arguments.duplicates))
    mine = duplicates.filter(pc.is_in(duplicates["image_id"], value_set=pa.array(usable, pa.string())))
    human = read_human_verdicts(Path(arguments.human_verdicts)) if arguments.human_verdicts else {}
    LOG.info(
        "%d images decode, %d are in a cluster of duplicates, %d human verdicts", len(usable), mine.num_rows, len(human)
    )
    paths = [path for path in (*arguments.faces, *arguments.people) if path]
    names = {name for rule in settings.rules for name in detectors_of(rule)}
    tables = read_detections(paths, names, usable, detectors_with_areas(settings.rules))
    sizes = {image_id: (inspections[image_id]["width"], inspections[image_id]["height"]) for image_id in usable}
    return Evidence(
        inspections=inspections,
        duplicates=rows_by_image(mine, str(arguments.duplicates)),
        detected=judge_detections(tables, sizes, settings, {Path(path).parent.name: path for path in paths}),
        human=human,
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="JSON of JudgeSettings")
    parser.add_argument("--part", required=True, help="name of the partition")
    parser.add_argument("--candidates", nargs="*", default=[], type=input_file, help="CANDIDATES of all files")
    parser.add_argument("--status", required=True, type=input_file, help="DOWNLOADS of the part")
    parser.add_argument("--inspection", required=True, type=input_file, help="INSPECTIONS of the part")
    parser.add_argument(
        "--duplicates", required=True, type=input_file, help="DUPLICATES: all clusters of the part's images"
    )
    parser.add_argument(
        "--faces", nargs="*", default=[], type=input_file, help="DETECTIONS at <detector>/<part>.parquet"
    )
    parser.add_argument(
        "--people", nargs="*", default=[], type=input_file, help="DETECTIONS at <detector>/<part>.parquet"
    )
    parser.add_argument(
        "--human-verdicts", required=True, type=optional_input, help="CSV image_id,verdict,reviewer; empty for none"
    )
    parser.add_argument("--out", required=True, type=output_file, help="table to write")
    arguments = parser.parse_args(argv)
    settings = read_recipe(JudgeSettings, arguments.recipe)
    paths = [path for path in arguments.candidates if path]
    mine = [("part", "=", arguments.part)]
    candidates = read_tables(paths, CANDIDATES, columns=[*KEY, "part"], filters=mine)
    status = pq.read_table(arguments.status)
    LOG.info("part %s: %d candidates", arguments.part, candidates.num_rows)
    check_candidates(candidates, status)
    write_table(arguments.out, judge_part(status, read_evidence(arguments, status, settings), settings))
    LOG.info("wrote %s", arguments.out)


if __name__ == "__main__":
    run_step(main)
