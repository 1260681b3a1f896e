"""Give each candidate of a part its verdict: the first reason against it, in the order of the pipeline, or none.

Order: no bytes, does not decode, too small, single colour, duplicate, reviewer says drop, tagged person, thumbnail
differs, detector failed, face, person. A reviewer's `keep` overrules metadata and detectors and nothing else: a
duplicate of a kept image, or an image that does not decode, stays dropped whatever a reviewer says. A score equal to
the threshold drops.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scripts.filter.embedded_signals import COLUMNS, judge_embedded
from scripts.filter.human_verdicts import HumanVerdict, read_human_verdicts
from scripts.filter.settings import JudgeSettings
from scripts.lib.accounting import account_for
from scripts.lib.errors import UserError
from scripts.lib.files import read_tables, table_of, write_table
from scripts.lib.reasons import FilterReason
from scripts.lib.recipe import read_recipe
from scripts.lib.step import run_step, step_parser
from scripts.lib.tables import CANDIDATES, VERDICTS

LOG = logging.getLogger(__name__)

Row = Mapping[str, Any]
KEY = ("image_id", "source", "file", "row")
Judgement = tuple[str, str]  # reason ("" = nothing speaks against it), evidence


@dataclass(frozen=True)
class Evidence:
    """All that is known of the images of a part, by image id."""

    inspections: Mapping[str, Row]
    duplicates: Mapping[str, Row]
    faces: Mapping[str, Mapping[str, Row]]  # detector → image id → DETECTIONS row without boxes
    people: Mapping[str, Mapping[str, Row]]
    human: Mapping[str, HumanVerdict]


def passes(score: float, threshold: float) -> bool:
    """Return score >= threshold, both in the precision of the tables: 0.7 as float32 is a little less than 0.7."""
    return bool(np.float32(score) >= np.float32(threshold))


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
    return judge_embedded(inspection, settings.embedded) or judge_detections(image_id, known, settings)


def judge_picture(inspection: Row, settings: JudgeSettings) -> Judgement | None:
    """Return what size and colour say against an image, None when nothing."""
    width, height = inspection["width"], inspection["height"]
    if min(width, height) < settings.min_side:
        return str(FilterReason.TOO_SMALL), f"{width} x {height}, shorter side < {settings.min_side}"
    if not passes(inspection["colour_std"], settings.min_colour_std):
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


def judge_detections(image_id: str, known: Evidence, settings: JudgeSettings) -> Judgement:
    """Return what the detectors say: a failed one first, then faces, then people; ("", "") when nothing."""
    rows = [(name, found[image_id]) for group in (known.faces, known.people) for name, found in group.items()]
    failed = [f"{name}: {row['detail']}" for name, row in rows if row["reason"]]
    if failed:
        return str(FilterReason.DETECTOR_FAILED), "; ".join(failed)
    for reason, found, thresholds in (
        (FilterReason.FACE, known.faces, settings.face_scores),
        (FilterReason.PERSON, known.people, settings.person_scores),
    ):
        scores = {name: found[name][image_id]["score"] for name in sorted(thresholds)}
        against = [
            f"{name} {score:.3f} >= {thresholds[name]:g}"
            for name, score in scores.items()
            if passes(score, thresholds[name])
        ]
        if against:
            return str(reason), "; ".join(against)
    return "", ""


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


def check_images(due: Iterable[str], got: Iterable[str], what: str) -> None:
    """Fail unless `got` are exactly the images of `due`.

    Raises:
        UserError: names the table and the first image that is missing or too many.
    """
    wrong = sorted(set(due) ^ set(got))
    if wrong:
        raise UserError(
            f"{what} does not fit the images of this part: {len(wrong)} are missing or too many (first: {wrong[0]}). "
            "The files are of different runs; make this table again"
        )


def read_detections(paths: Sequence[str], names: Iterable[str], due: Iterable[str]) -> dict[str, dict[str, Row]]:
    """Return detector → image id → row, for tables at `<detector>/<part>.parquet`.

    Raises:
        UserError: a detector of the recipe has no table, a table has no detector, or its images are not those of `due`.
    """
    by_name = {Path(path).parent.name: path for path in paths}
    if set(by_name) != set(names) or len(by_name) != len(paths):
        raise UserError(
            f"the recipe has thresholds for the detectors {sorted(names)}, and the tables given are those of "
            f"{sorted(Path(path).parent.name for path in paths)}: each detector needs exactly one table"
        )
    found = {}
    for name, path in sorted(by_name.items()):
        found[name] = rows_by_image(pq.read_table(path, columns=["image_id", "reason", "detail", "score"]), path)
        check_images(due, found[name], path)
    return found


def read_evidence(arguments: Any, status: pa.Table, settings: JudgeSettings) -> Evidence:
    """Read and cross-check all tables of a part."""
    columns = ["image_id", "reason", "detail", "width", "height", "colour_std", *COLUMNS]
    inspections = rows_by_image(pq.read_table(arguments.inspection, columns=columns), str(arguments.inspection))
    stored = status.filter(pc.equal(status["reason"], ""))["image_id"].to_pylist()
    check_images(stored, inspections, str(arguments.inspection))
    usable = [image_id for image_id, row in inspections.items() if not row["reason"]]
    duplicates = pq.read_table(arguments.duplicates)
    mine = duplicates.filter(pc.is_in(duplicates["image_id"], value_set=pa.array(usable, pa.string())))
    human = read_human_verdicts(Path(arguments.human_verdicts)) if arguments.human_verdicts else {}
    LOG.info(
        "%d images decode, %d are in a cluster of duplicates, %d human verdicts", len(usable), mine.num_rows, len(human)
    )
    return Evidence(
        inspections=inspections,
        duplicates=rows_by_image(mine, str(arguments.duplicates)),
        faces=read_detections([path for path in arguments.faces if path], settings.face_scores, usable),
        people=read_detections([path for path in arguments.people if path], settings.person_scores, usable),
        human=human,
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="JSON of JudgeSettings")
    parser.add_argument("--part", required=True, help="name of the partition")
    parser.add_argument("--candidates", nargs="*", default=[], help="CANDIDATES of all files")
    parser.add_argument("--status", required=True, type=Path, help="DOWNLOADS of the part")
    parser.add_argument("--inspection", required=True, type=Path, help="INSPECTIONS of the part")
    parser.add_argument("--duplicates", required=True, type=Path, help="DUPLICATES of all parts")
    parser.add_argument("--faces", nargs="*", default=[], help="DETECTIONS at <detector>/<part>.parquet")
    parser.add_argument("--people", nargs="*", default=[], help="DETECTIONS at <detector>/<part>.parquet")
    parser.add_argument("--human-verdicts", required=True, help="CSV image_id,verdict,reviewer; empty for none")
    parser.add_argument("--out", required=True, type=Path, help="table to write")
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
