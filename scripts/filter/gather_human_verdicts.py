"""Gather what all reviewers say into one table, and count how far they agree.

The table has one row for each reviewer of an image; `judge` reads the rows of its part. An image on which an auditor
says `drop` is in it too: a person who was found must be gone in the next run. An auditor's `keep` is not: it must not
shield the sampled images from a stricter threshold while their neighbours go, or the sample would no longer stand for
the rest.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scripts.filter.agreement import agreement_lines, measure_agreement
from scripts.filter.human_verdicts import (
    HEADER,
    HumanVerdict,
    Pair,
    VerdictFiles,
    Word,
    by_reviewer,
    read_verdict_files,
    resolve,
)
from scripts.lib.files import write_csv, write_json
from scripts.lib.flags import input_file, output_file, outside_data
from scripts.lib.human_figures import ReviewFigures
from scripts.lib.part_tables import FLAG, HELP, Parts
from scripts.lib.step import run_step, step_parser

LOG = logging.getLogger(__name__)

NOTHING = VerdictFiles(files=0, lines=0, rows=(), replaced=0)
AUDIT = " (audit)"  # after an auditor's name, so that evidence says where a verdict comes from


@dataclass(frozen=True)
class Gathered:
    """All verdicts that count."""

    said: Mapping[Pair, Word]  # of the reviewers
    from_audit: Mapping[Pair, Word]  # the auditors' drops
    verdicts: Mapping[str, HumanVerdict]  # of both together


def gather(reviews: VerdictFiles, audit: VerdictFiles) -> Gathered:
    """Return what reviewers and auditors say."""
    said = by_reviewer(reviews.rows)
    found: dict[Pair, Word] = {
        (image_id, reviewer + AUDIT): verdict
        for (image_id, reviewer), verdict in by_reviewer(audit.rows).items()
        if verdict == "drop"
    }
    return Gathered(said, found, resolve({**said, **found}))


def find_unknown(image_ids: Sequence[str], candidates: Sequence[str]) -> list[str]:
    """Return those of `image_ids` that no candidate has; reads one batch of a table at a time."""
    left = set(image_ids)
    wanted = pa.array(sorted(left), pa.string())
    for path in candidates:
        if not left:
            break
        for batch in pq.ParquetFile(path).iter_batches(columns=["image_id"]):
            ids = batch.column("image_id")
            left.difference_update(ids.filter(pc.is_in(ids, value_set=wanted)).to_pylist())
    return sorted(left)


def count_figures(reviews: VerdictFiles, gathered: Gathered, unknown: int) -> ReviewFigures:
    """Return the figures of the report."""
    own = resolve(gathered.said)
    drops = [verdict for verdict in own.values() if verdict.verdict == "drop"]
    return ReviewFigures(
        files=reviews.files,
        rows=reviews.lines,
        replaced=reviews.replaced,
        images=len(own),
        keep=len(own) - len(drops),
        drop=len(drops),
        disputed=sum(bool(verdict.against) for verdict in drops),
        unknown=unknown,
        audit_drops=len({image_id for image_id, _ in gathered.from_audit}),
        reviewers=dict(sorted(Counter(reviewer for _, reviewer in gathered.said).items())),
        agreement=measure_agreement(gathered.said),
    )


def log_figures(
    figures: ReviewFigures, reviews: VerdictFiles, said: Mapping[Pair, Word], unknown: Sequence[str]
) -> None:
    """Say what was found, and warn of what a reviewer would want to know."""
    LOG.info(
        "%d files, %d rows, %d reviewers: %d images, %d keep, %d drop; %d more dropped by the audit",
        *(figures.files, figures.rows, len(figures.reviewers), figures.images, figures.keep, figures.drop),
        figures.audit_drops,
    )
    if figures.replaced:
        LOG.info(
            "%d rows are followed by a later one of the same reviewer, image and file, which counts", figures.replaced
        )
    for line in agreement_lines(figures.agreement):
        LOG.info("%s", line)
    if figures.disputed:
        LOG.warning("%d images are dropped although a reviewer would keep them: drop wins", figures.disputed)
    changed = [
        pair for pair, times in Counter((row.image_id, row.reviewer) for row in reviews.rows).items() if times > 1
    ]
    both = {
        row.image_id for row in reviews.rows if row.verdict == "keep" and said[row.image_id, row.reviewer] == "drop"
    }
    if both:
        LOG.warning(
            "%d of the %d images that a reviewer judged in two files got keep in one and drop in the other "
            "(first: %s): drop wins; delete the file that is out of date",
            *(len(both), len(changed), min(both)),
        )
    if unknown:
        LOG.warning(
            "%d images with a verdict are no candidates (first: %s): of another run, or changed by a spreadsheet; they "
            "are passed over",
            *(len(unknown), unknown[0]),
        )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument(
        "--human-verdicts",
        required=True,
        type=outside_data,
        help="CSV image_id,verdict,reviewer or folder; empty for none",
    )
    parser.add_argument(
        "--audit-verdicts", required=True, type=outside_data, help="the auditors' CSV or folder; empty for none"
    )
    parser.add_argument("--candidates", nargs="*", default=[], type=input_file, help="CANDIDATES of all files")
    parser.add_argument("--out", required=True, type=output_file, help="CSV to write")
    parser.add_argument("--figures", required=True, type=output_file, help="JSON to write")
    parser.add_argument(FLAG, nargs="*", default=[], type=output_file, help=HELP)
    flags = parser.parse_args(argv)
    parts = Parts(flags.parts)
    reviews = read_verdict_files(Path(flags.human_verdicts)) if flags.human_verdicts else NOTHING
    audit = read_verdict_files(Path(flags.audit_verdicts), "filter.audit.verdicts") if flags.audit_verdicts else NOTHING
    gathered = gather(reviews, audit)
    unknown = find_unknown(list(gathered.verdicts), [path for path in flags.candidates if path])
    figures = count_figures(reviews, gathered, len(unknown))
    log_figures(figures, reviews, gathered.said, unknown)
    said = sorted({**gathered.said, **gathered.from_audit}.items())
    everything = [(image_id, verdict, reviewer) for (image_id, reviewer), verdict in said]
    write_csv(flags.out, HEADER, everything)
    of_row = parts.of(image_id for image_id, _, _ in everything)
    for part, path in parts.paths.items():
        write_csv(path, HEADER, [row for row, own in zip(everything, of_row, strict=True) if own == part])
    write_json(flags.figures, figures.model_dump())
    LOG.info("wrote %d rows on %d images: %s", len(everything), len(gathered.verdicts), flags.out)


if __name__ == "__main__":
    run_step(main)
