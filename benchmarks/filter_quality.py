"""How many photos with people the filter drops, and how many without it drops for nothing, on labelled photos.

Reads what `tune_threshold` counted in a finished run: each detector and committee at its thresholds on images held out,
and the rules as configured beside the reference, which is PASS's own rule (a face above 0.5 or a person of 0.5 or more,
with NanoDet in the place of its person detector). Both filters see the same photos and the same scores. `ratio` is
the recall of the rules as configured, before review, over that of the reference; their thresholds were chosen on
these labels, so for new photos believe the held-out lines.

    make tune && python -m benchmarks.filter_quality
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from scripts.lib.recipe import read_recipe
from scripts.lib.tune_figures import Count, Share, TuneFigures


def told(share: Share) -> str:
    """Return `share [low, high]`."""
    return f"{share.share:.3f} [{share.low:.3f}, {share.high:.3f}]"


def print_scorers(figures: TuneFigures) -> None:
    """Print the held-out operating points of each detector and committee."""
    for curve in figures.curves:
        print(f"{curve.scorer:22} area under the curve {curve.area:.3f} [{curve.low:.3f}, {curve.high:.3f}]")
        for point in figures.points:
            if (point.scorer, point.reading) == (curve.scorer, "held_out"):
                print(
                    f"    chosen for {point.aim:13} recall {told(point.people_dropped)}, false rejects "
                    f"{told(point.others_dropped)}; in review {told(point.people_in_review)} of the people, "
                    f"{told(point.others_in_review)} of the others"
                )


def print_counts(figures: TuneFigures) -> dict[tuple[str, str], Count]:
    """Print what both filters do, by label and stratum; return the counts of whole labels by filter and label."""
    for row in figures.counts:
        group = f"{row.label}, {row.column} {row.value}" if row.column else row.label
        print(
            f"{row.filter:10} {group:44} {row.kept.images:4} photos, dropped {told(row.dropped)}, in review "
            f"{told(row.in_review)}, kept {told(row.kept)}"
        )
    return {(row.filter, row.label): row for row in figures.counts if not row.column}


def main() -> None:
    """Print the tables and the JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    figures_path = Path("results/filter/tune_threshold/figures.json")
    parser.add_argument("--figures", type=Path, default=figures_path, help="of a finished `make tune` or `make photos`")
    parser.add_argument("--people", default="person", help="label of photos with people")
    parser.add_argument("--others", default="no_person", help="label of photos without")
    args = parser.parse_args()
    if not args.figures.exists():
        sys.exit(f"{args.figures} is missing: run `make tune` first, with UNPEOPLED_SHARED naming the folder of data/")
    figures = read_recipe(TuneFigures, args.figures.read_text(encoding="utf-8"))
    print_scorers(figures)
    counts = print_counts(figures)
    ours, reference = (counts[name, args.people] for name in ("configured", "reference"))
    line = {
        "recall": ours.dropped.share,
        "recall_with_review": 1 - ours.kept.share,
        "false_rejects": counts["configured", args.others].dropped.share,
        "others_in_review": counts["configured", args.others].in_review.share,
        "peer_recall": reference.dropped.share,
        "peer_false_rejects": counts["reference", args.others].dropped.share,
    }
    ratio = ours.dropped.share / reference.dropped.share
    print(json.dumps({"name": "filter_quality", "ratio": ratio, "peer": "PASS's rule", **line}))


if __name__ == "__main__":
    main()
