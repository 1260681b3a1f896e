"""Write the page to read: one HTML file with funnel, pictures, selection, training and results.

It holds all that it shows: no script, no style sheet, picture or font is loaded from anywhere.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.lib.accounting import Account
from scripts.lib.errors import UserError
from scripts.lib.files import write_text
from scripts.lib.flags import input_file, optional_input, output_file
from scripts.lib.human_figures import LeakRate, ReviewFigures, read_figures
from scripts.lib.plain_text import printable
from scripts.lib.recipe import read_recipe
from scripts.lib.step import run_step, step_parser
from scripts.report.accounts import read_funnel
from scripts.report.duplicate_figures import read_figures as read_figures_of_duplicates
from scripts.report.inline_svg import Drawing, read_drawing
from scripts.report.page import render_page
from scripts.report.page_sentences import TRACES, five_lines, key_figures, limits
from scripts.report.page_values import (
    detector_values,
    duplicate_values,
    funnel_values,
    map_values,
    people_values,
    published_values,
    result_values,
    selection_values,
    sheet_values,
)
from scripts.report.people_looked import PeopleLooked
from scripts.report.published import IMAGENET_NOTE, PASS_FACTS, PROTOCOL_NOTE, README
from scripts.report.result_table import Score, read_results
from scripts.report.run_values import read_diagnoses, run_values
from scripts.report.selection_statistics import Statistics, kept_statistics
from scripts.report.settings import WriteReportSettings
from scripts.report.tuning_values import read_tuning, tuning_values

log = logging.getLogger(__name__)

KEPT = "kept"
LONGEST_TITLE = 200  # characters


def page_text(
    *,
    settings: WriteReportSettings,
    funnel: Account,
    drawing: Drawing,
    sheets: Sequence[Path],
    statistics: Statistics,
    scores: Sequence[Score],
    looked: PeopleLooked,
    duplicates: Mapping[str, object],
    tuning: Mapping[str, object],
    runs: Mapping[str, object],
    maps: Sequence[Path],
    positions: Drawing,
) -> str:
    """Return the page.

    Args:
        settings: title, detectors, rules and runs.
        funnel: the account of everything that was read.
        drawing: the funnel.
        sheets: contact sheets, in the order of the page.
        statistics: of the kept images.
        scores: results, twins beside their runs.
        looked: what reviewers and auditors did.
        duplicates: values of `duplicate_values`.
        tuning: values of `tuning_values`.
        runs: values of `run_values`.
        maps: PNGs of `draw_embedding`.
        positions: where the kept images were taken.
    """
    return render_page(
        {
            "title": printable(settings.title, LONGEST_TITLE),
            "key_figures": key_figures(funnel, statistics, settings),
            "five_lines": five_lines(funnel, statistics, settings, scores, looked),
            **funnel_values(funnel),
            "funnel_drawing": drawing,
            **detector_values(settings),
            **people_values(settings, funnel, looked),
            **tuning,
            **sheet_values(sheets, {KEPT: funnel["kept"], **funnel["rejected"]}),
            **duplicates,
            **selection_values(statistics, looked),
            "positions": positions,
            "pass_places": PASS_FACTS["Places"][0],
            **runs,
            **result_values(scores, settings),
            **map_values(maps),
            **published_values(scores, settings),
            "protocol_note": PROTOCOL_NOTE,
            "imagenet_note": IMAGENET_NOTE,
            "published_source": README,
            "limits": limits(settings, scores, looked),
            "traces": TRACES,
        }
    )


def report_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="JSON: title, detectors, rules, runs")
    parser.add_argument("--funnel", type=input_file, required=True, help="JSON of count_funnel")
    parser.add_argument("--funnel-figure", type=input_file, required=True, help="SVG of draw_funnel")
    parser.add_argument(
        "--curves", type=input_file, nargs="*", default=[], help="SVGs of draw_curves, named by their run"
    )
    parser.add_argument(
        "--diagnoses", type=input_file, nargs="*", default=[], help="JSON of diagnose_run, named by their run"
    )
    parser.add_argument(
        "--views", type=input_file, nargs="*", default=[], help="PNGs of train, in the folder of their run"
    )
    parser.add_argument("--sheets", type=input_file, nargs="*", default=[], help="PNGs of draw_contact_sheets")
    parser.add_argument("--duplicates", type=input_file, required=True, help="JSON of draw_duplicates")
    parser.add_argument("--duplicate-sheets", type=input_file, nargs="*", default=[], help="PNGs of draw_duplicates")
    parser.add_argument("--results", type=input_file, required=True, help="CSV of collect_results")
    parser.add_argument(
        "--maps", type=input_file, nargs="*", default=[], help="PNGs of draw_embedding, <encoder>/<task>"
    )
    parser.add_argument("--selection", type=input_file, required=True, help="table of select")
    parser.add_argument("--positions", type=input_file, required=True, help="SVG of draw_positions")
    parser.add_argument("--reviews", type=input_file, required=True, help="JSON of gather_human_verdicts")
    parser.add_argument(
        "--leak-rate",
        required=True,
        type=optional_input,
        help="JSON of measure_leak_rate; empty when there is no audit",
    )
    parser.add_argument("--tuning", type=input_file, nargs="*", default=[], help="JSON of tune_threshold, if it ran")
    parser.add_argument(
        "--tuning-figure", type=input_file, nargs="*", default=[], help="SVG of tune_threshold, if it ran"
    )
    parser.add_argument("--out", type=output_file, required=True, help="HTML")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    args = report_parser().parse_args(argv)
    settings = read_recipe(WriteReportSettings, args.recipe)
    drawings = {path.stem: read_drawing(path, f"curves-{path.stem}-") for path in args.curves}
    funnel, scores = read_funnel(args.funnel), read_results(args.results, settings.twins, settings.figures)
    looked = PeopleLooked(
        reviews=read_figures(ReviewFigures, args.reviews),
        leak=read_figures(LeakRate, Path(args.leak_rate)) if args.leak_rate else None,
    )
    statistics = kept_statistics(args.selection)
    if statistics.images != funnel["kept"]:
        raise UserError(
            f"{args.selection} keeps {statistics.images} images, and the funnel {args.funnel} counts {funnel['kept']}: "
            "the files are of different runs. Make the funnel again (snakemake --forcerun count_funnel)"
        )
    text = page_text(
        settings=settings,
        funnel=funnel,
        drawing=read_drawing(args.funnel_figure, "funnel-"),
        sheets=args.sheets,
        statistics=statistics,
        scores=scores,
        looked=looked,
        duplicates=duplicate_values(read_figures_of_duplicates(args.duplicates), args.duplicate_sheets),
        tuning=tuning_values(
            read_tuning(args.tuning), [read_drawing(path, "labelled-") for path in args.tuning_figure]
        ),
        runs=run_values(settings, drawings, read_diagnoses(args.diagnoses), args.views),
        maps=args.maps,
        positions=read_drawing(args.positions, "positions-"),
    )
    write_text(args.out, text)
    log.info(
        "%d reasons, %d curves, %d results, %d KiB",
        len(funnel["rejected"]),
        len(args.curves),
        len(scores),
        len(text.encode("utf-8")) // 1024,
    )


if __name__ == "__main__":
    run_step(main)
