"""Draw the kept images that auditors look at, by lot, to measure how many people are left.

An image's place in the draw depends on the seed and its id alone, so the sample stays when other images come or go. An
image that the audit itself dropped stays in the sample: without it, the next run would measure a leak rate of zero.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from scripts.filter.human_verdicts import by_reviewer, read_verdict_files
from scripts.filter.settings import AuditSettings
from scripts.lib.draws import rank
from scripts.lib.files import table_of, write_json, write_table
from scripts.lib.flags import input_file, output_file, outside_data
from scripts.lib.reasons import FilterReason
from scripts.lib.recipe import read_recipe
from scripts.lib.step import run_step, step_parser
from scripts.lib.tables import AUDIT_SAMPLE

LOG = logging.getLogger(__name__)

COLUMNS = ("image_id", "part", "keep", "creator", "title")
Row = Mapping[str, Any]


def found_by_audit(verdicts: str) -> set[str]:
    """Return the images on which an auditor says `drop`; no file, no images."""
    if not verdicts:
        return set()
    said = by_reviewer(read_verdict_files(Path(verdicts), "filter.audit.verdicts").rows)
    return {image_id for (image_id, _), verdict in said.items() if verdict == "drop"}


def population(selection: Path, found: set[str]) -> Iterator[Row]:
    """Yield the kept images, and those that are dropped because the audit found a person."""
    for batch in pq.ParquetFile(selection).iter_batches(columns=[*COLUMNS, "reason"]):
        reasons = batch.column("reason")
        wanted = batch.filter(pc.or_(pc.equal(reasons, ""), pc.equal(reasons, str(FilterReason.HUMAN_VERDICT))))
        yield from (row for row in wanted.to_pylist() if row["keep"] or row["image_id"] in found)


def draw_sample(rows: Iterator[Row], settings: AuditSettings) -> tuple[list[Row], int]:
    """Return the sample in the order of the draw, and how many there were to draw from."""
    seen = 0

    def ranked() -> Iterator[tuple[str, Row]]:
        nonlocal seen
        for row in rows:
            seen += 1
            yield rank(settings.seed, "audit", row["image_id"]), row

    lowest = heapq.nsmallest(settings.images, ranked(), key=lambda pair: pair[0])
    return [row for _, row in lowest], seen


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="JSON of filter.audit")
    parser.add_argument("--selection", required=True, type=input_file, help="SELECTION")
    parser.add_argument(
        "--audit-verdicts", required=True, type=outside_data, help="the auditors' CSV or folder; empty for none"
    )
    parser.add_argument("--out", required=True, type=output_file, help="AUDIT_SAMPLE to write")
    parser.add_argument(
        "--account", required=True, type=output_file, help="JSON to write: population, sample, dropped since"
    )
    flags = parser.parse_args(argv)
    settings = read_recipe(AuditSettings, flags.recipe)
    sample, available = draw_sample(population(flags.selection, found_by_audit(flags.audit_verdicts)), settings)
    rows = [{"position": index, **{name: row[name] for name in COLUMNS}} for index, row in enumerate(sample)]
    write_table(flags.out, table_of(rows, AUDIT_SAMPLE))
    dropped = sum(not row["keep"] for row in rows)
    write_json(flags.account, {"population": available, "sample": len(rows), "dropped_since": dropped})
    LOG.info(
        "%d of %d images drawn with seed %d, %d of them dropped since by the audit itself: %s",
        *(len(rows), available, settings.seed, dropped, flags.out),
    )
    if len(rows) < settings.images:
        LOG.info("fewer than the %d asked for: all images are in the sample", settings.images)


if __name__ == "__main__":
    run_step(main)
