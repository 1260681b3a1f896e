"""Say in words what the curves of a run show: whether it learns, whether it collapsed, and what to do.

A step of its own, so that a better sentence trains nothing again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from scripts.lib.errors import UserError
from scripts.lib.files import write_json
from scripts.lib.flags import input_file, output_file
from scripts.lib.number_columns import read_columns
from scripts.lib.recipe import read_recipe
from scripts.lib.step import run_step, step_parser
from scripts.pretrain.diagnosis import diagnose, worst
from scripts.pretrain.settings import TrainSettings

log = logging.getLogger(__name__)

NEEDED = ("step", "epoch", "loss", "learning_rate")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="JSON of the run's settings, as `train` gets it")
    parser.add_argument("--metrics", type=input_file, required=True, help="metrics.csv of the run")
    parser.add_argument("--monitor", type=input_file, required=True, help="monitor.csv of the run")
    parser.add_argument("--out", type=output_file, required=True, help="JSON: level, findings, the worst first")
    args = parser.parse_args(argv)
    run = read_recipe(TrainSettings, args.recipe).run
    metrics, monitor = read_columns(args.metrics, NEEDED), read_columns(args.monitor, ("step", "rank_me"))
    if not metrics["step"]:
        raise UserError(f"{args.metrics} has no rows: the run took no step. See its log under logs/pretrain/train/")
    findings = diagnose(run, metrics, monitor)
    listed = [finding._asdict() for finding in findings]
    write_json(args.out, {"run": run.name, "level": worst(findings), "findings": listed})
    for finding in findings:
        log.info("%s: %s: %s", run.name, finding.level, f"{finding.text} {finding.advice}".strip())


if __name__ == "__main__":
    run_step(main)
