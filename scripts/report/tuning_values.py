"""What `tune_threshold` found out, as the page shows it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scripts.lib.errors import UserError
from scripts.lib.recipe import read_recipe
from scripts.lib.tune_figures import Count, Curve, Point, Share, TuneFigures
from scripts.report.inline_svg import Drawing
from scripts.report.number_text import count

NONE = "–"


def read_tuning(paths: Sequence[Path]) -> TuneFigures | None:
    """Return the figures of the one file, None when there is none.

    Raises:
        UserError: the file is not what `tune_threshold` writes.
    """
    if not paths:
        return None
    try:
        return read_recipe(TuneFigures, paths[0].read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{paths[0]} cannot be read ({error}): run `tune_threshold` again") from None


def tuning_values(figures: TuneFigures | None, drawings: Sequence[Drawing]) -> dict[str, object]:
    """Return the values of the section on labelled images; the section is left out where nothing was tuned."""
    if figures is None or not drawings:
        return {"tuning": None}
    others = ", ".join(f"{count(images)} {label.replace('_', ' ')}" for label, images in figures.apart.items())
    apart = f", apart from them {others}" if others else ""
    unseen = f" {count(figures.unseen)} labelled images are not in this collection." if figures.unseen else ""
    reference = {key_of(row): row for row in figures.counts if row.filter == "reference"}
    return {
        "tuning": {
            "images": f"{count(figures.people)} images with people and {count(figures.others)} without{apart}.{unseen}",
            "folds": f"{figures.folds} folds, {figures.repeats} times",
            "confidence": f"{100 * figures.confidence:g} %",
            "wanted": f"{figures.wanted_recall:g}",
            "allowed": f"{figures.max_false_rejects:g}",
            "drawing": drawings[0],
            "scorers": [_scorer(curve, figures.points) for curve in figures.curves],
            "reference": bool(reference),
            "counts": [_count(row, reference) for row in figures.counts if row.filter == "configured"],
        }
    }


def key_of(row: Count) -> tuple[str, str, str]:
    """Return what two filters' counts are compared by."""
    return row.column, row.value, row.label


def _interval(low: float, high: float) -> str:
    return f"[{low:.3f}, {high:.3f}]"


def _share(share: Share) -> tuple[str, str]:
    return f"{share.share:.3f}", _interval(share.low, share.high)


def _line(share: Share) -> str:
    return " ".join(_share(share))


def _scorer(curve: Curve, points: Sequence[Point]) -> dict[str, object]:
    """Return a row; each figure is two lines of its cell."""
    held = {point.aim: point for point in points if point.scorer == curve.scorer and point.reading == "held_out"}
    band = held["band"]
    covered = band.people_dropped.share + band.people_in_review.share
    return {
        "name": curve.scorer,
        "area": (f"{curve.area:.3f}", _interval(curve.low, curve.high)),
        "recall": (_line(held["recall"].people_dropped), _line(held["recall"].others_dropped)),
        "false_rejects": (_line(held["false_rejects"].people_dropped), _line(held["false_rejects"].others_dropped)),
        "band": (f"{covered:.3f}", _line(band.others_in_review)),
    }


def _count(row: Count, reference: dict[tuple[str, str, str], Count]) -> dict[str, object]:
    beside = reference.get(key_of(row))
    return {
        "label": row.label.replace("_", " "),
        "group": f"{row.column}: {row.value}" if row.column else "",
        "images": row.kept.images,
        "dropped": _share(row.dropped),
        "in_review": _share(row.in_review),
        "kept": _share(row.kept),
        "reference": _share(beside.dropped) if beside else (NONE, ""),
    }
