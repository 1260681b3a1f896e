"""What `tune_threshold` writes to be read by people: the operating points as a table, the committees as rules."""

from __future__ import annotations

from collections.abc import Sequence

from scripts.filter.rule_settings import CommitteeRule
from scripts.lib.tune_figures import Point, Share, TuneFigures

SHARES = ("people_dropped", "people_in_review", "others_dropped", "others_in_review")


def points_rows(figures: TuneFigures) -> list[list[object]]:
    """Return the header and one row for each operating point; shares and their bounds with four decimals."""
    header: list[object] = ["scorer", "area", "area_low", "area_high", "aim", "reading", "review", "drop"]
    header += [f"{name}{bound}" for name in SHARES for bound in ("", "_low", "_high")]
    areas = {curve.scorer: (curve.area, curve.low, curve.high) for curve in figures.curves}
    return [header, *([point.scorer, *map(_digits, areas[point.scorer]), *_cells(point)] for point in figures.points)]


def points_lines(figures: TuneFigures) -> list[str]:
    """Return a line of the log for each curve and each held-out operating point."""
    lines = []
    for curve in figures.curves:
        lines.append(f"{curve.scorer}: area under the curve {curve.area:.3f} [{curve.low:.3f}, {curve.high:.3f}]")
        for point in figures.points:
            if point.scorer == curve.scorer and point.reading == "held_out":
                shares = [_percent(getattr(point, name)) for name in SHARES]
                lines.append(
                    f"  thresholds for {point.aim.replace('_', ' ')}, held out: of the people {shares[0]} dropped and "
                    f"{shares[1]} in review, of the others {shares[2]} and {shares[3]}"
                )
    return lines


def _cells(point: Point) -> list[object]:
    thresholds = ["" if value is None else f"{value:g}" for value in (point.review, point.drop)]
    shares: list[Share] = [getattr(point, name) for name in SHARES]
    numbers = [_digits(value) for share in shares for value in (share.share, share.low, share.high)]
    return [point.aim, point.reading, *thresholds, *numbers]


def _digits(value: float) -> str:
    return f"{value:.4f}"


def rules_text(rules: Sequence[CommitteeRule], figures: TuneFigures) -> str:
    """Return the committees as entries of `filter.rules`, with the thresholds of their band."""
    lines = [
        f"# Fitted on {figures.people} labelled images with people and {figures.others} without. Nothing reads",
        "# this file: copy what you want to filter.rules in the config. New thresholds rerun judge and no detector.",
    ]
    if not rules:
        lines.append("# filter.tune.committees is empty, so no committee was fitted.")
    for rule in rules:
        band = next(p for p in figures.points if (p.scorer, p.aim, p.reading) == (rule.name, "band", "apparent"))
        held = next(p for p in figures.points if (p.scorer, p.aim, p.reading) == (rule.name, "band", "held_out"))
        lines += [
            f"# Held out: {_percent(held.people_dropped)} of the people dropped and {_percent(held.people_in_review)} "
            f"in review; of the others {_percent(held.others_dropped)} and {_percent(held.others_in_review)}.",
            f"- name: {rule.name}",
            f"  reason: {rule.reason}",
            "  combine: logistic",
            f"  bias: {rule.bias}",
            "  voices:",
            *(
                f"    - {{detector: {voice.detector}, score: {voice.score}, area: {voice.area}}}"
                for voice in rule.voices
            ),
            f"  score_range: [{rule.score_range[0]}, {rule.score_range[1]}]",
            f"  drop: {band.drop}",
            f"  review: {'null' if band.review is None else band.review}",
        ]
    return "\n".join(lines) + "\n"


def _percent(share: Share) -> str:
    return f"{100 * share.share:.1f} %"
