"""Measure how many of the kept images show a person, from what auditors say of a random sample of them.

The interval is exact (Clopper-Pearson). An image of the sample that nobody has looked at counts as a person for the
upper bounds and as none for the lower one, so that no choice of what to skip can make the figure better.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pyarrow.parquet as pq

from scripts.filter.agreement import agreement_lines, measure_agreement
from scripts.filter.human_verdicts import VerdictRow, by_reviewer, read_verdict_files, resolve
from scripts.filter.settings import AuditSettings
from scripts.lib.binomial import two_sided, upper_bound
from scripts.lib.errors import UserError
from scripts.lib.files import write_json
from scripts.lib.flags import input_file, output_file, outside_data
from scripts.lib.human_figures import LeakRate, leak_sentence
from scripts.lib.recipe import read_recipe
from scripts.lib.step import run_step, step_parser

LOG = logging.getLogger(__name__)


def measure(sample: Sequence[str], available: int, rows: Sequence[VerdictRow], settings: AuditSettings) -> LeakRate:
    """Return the leak rate.

    Args:
        sample: image ids of the sample.
        available: images that it was drawn from.
        rows: what the auditors say; `drop` is a person.
        settings: seed and confidence.

    Raises:
        UserError: the sample is empty.
    """
    if not sample:
        raise UserError("the audit's sample has no image: nothing is kept, so there is nothing to measure")
    mine = set(sample)
    said = {pair: verdict for pair, verdict in by_reviewer(rows).items() if pair[0] in mine}
    verdicts = resolve(said)
    people = sum(verdict.verdict == "drop" for verdict in verdicts.values())
    unseen = len(sample) - len(verdicts)
    status: Literal["not_audited", "incomplete", "complete"] = "incomplete" if verdicts else "not_audited"
    return LeakRate(
        status="complete" if not unseen else status,
        population=available,
        sample=len(sample),
        looked_at=len(verdicts),
        people=people,
        confidence=settings.confidence,
        lower=two_sided(people, len(sample), settings.confidence)[0],
        upper=two_sided(people + unseen, len(sample), settings.confidence)[1],
        bound=upper_bound(people + unseen, len(sample), settings.confidence),
        seed=settings.seed,
        not_of_sample=len({row.image_id for row in rows} - mine),
        auditors=dict(sorted(Counter(reviewer for _, reviewer in said).items())),
        agreement=measure_agreement(said),
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="JSON of filter.audit")
    parser.add_argument("--sample", required=True, type=input_file, help="AUDIT_SAMPLE")
    parser.add_argument("--account", required=True, type=input_file, help="JSON of draw_audit_sample")
    parser.add_argument(
        "--audit-verdicts", required=True, type=outside_data, help="the auditors' CSV or folder; empty for none"
    )
    parser.add_argument("--out", required=True, type=output_file, help="JSON to write")
    flags = parser.parse_args(argv)
    settings = read_recipe(AuditSettings, flags.recipe)
    sample = pq.read_table(flags.sample, columns=["image_id"])["image_id"].to_pylist()
    available = json.loads(flags.account.read_text(encoding="utf-8"))["population"]
    rows = read_verdict_files(Path(flags.audit_verdicts), "filter.audit.verdicts").rows if flags.audit_verdicts else ()
    leak = measure(sample, available, rows, settings)
    for line in agreement_lines(leak.agreement):
        LOG.info("%s", line)
    if leak.not_of_sample:
        LOG.warning(
            "%d images that the auditors judged are not of this sample and do not count: they are of another seed or "
            "selection. Keep such a file in the folder of filter.human_verdicts, so that its drops stay",
            leak.not_of_sample,
        )
    write_json(flags.out, leak.model_dump())
    LOG.info("%s", leak_sentence(leak))


if __name__ == "__main__":
    run_step(main)
