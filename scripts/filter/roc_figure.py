"""The figure of `tune_threshold`: recall against false rejects for each detector and committee."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scripts.filter.operating_points import Measurement
from scripts.filter.roc import Flags, roc_curve
from scripts.lib.binomial import two_sided
from scripts.lib.figure_style import INK, LOSS, MAIN, MUTED, SECOND, styled
from scripts.lib.tune_figures import Point, TuneFigures

DASHES = ("--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (8, 3)))


def roc_figure(measured: Sequence[Measurement], person: Flags, figures: TuneFigures) -> Figure:
    """Return the figure. Committees are coloured, the first with its confidence band; detectors are grey dashes."""
    with styled():
        figure = Figure(figsize=(6.4, 4.9))
        axes = figure.add_axes((0.1, 0.11, 0.87, 0.85))
        axes.set(xlim=(0, 1), ylim=(0.5, 1.005), xlabel="false rejects", ylabel="recall")
        axes.axhline(figures.wanted_recall, color=MUTED, linewidth=0.8)
        axes.axvline(figures.max_false_rejects, color=MUTED, linewidth=0.8)
        lines = iter(DASHES * len(measured))
        colours = iter((MAIN, SECOND, LOSS) * len(measured))
        first = next((each for each in measured if each.curve.kind == "committee"), None)
        for each in measured:
            false_rejects, recall = roc_curve(each.scores, person)
            label = f"{each.curve.scorer}, area {each.curve.area:.3f}"
            if each.curve.kind == "detector":
                axes.plot(false_rejects, recall, color=MUTED, linewidth=1.1, linestyle=next(lines), label=label)
                continue
            colour = next(colours)
            axes.plot(false_rejects, recall, color=colour, linewidth=2, label=f"{label} (held out)")
            if each is first:
                low, high = recall_band(recall, int(person.sum()), figures.confidence)
                axes.fill_between(false_rejects, low, high, color=colour, alpha=0.15, linewidth=0)
                for point in each.points:
                    if point.aim != "band" and point.reading == "held_out":
                        draw_point(axes, point, colour)
        axes.legend(loc="lower right", frameon=False, fontsize=8.5)
    return figure


def recall_band(recall: np.ndarray, people: int, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the pointwise Clopper-Pearson interval of each recall."""
    bounds = {
        hits: two_sided(hits, people, confidence) for hits in np.unique(np.rint(recall * people).astype(int)).tolist()
    }
    pairs = np.array([bounds[hits] for hits in np.rint(recall * people).astype(int).tolist()])
    return pairs[:, 0], pairs[:, 1]


def draw_point(axes: Axes, point: Point, colour: str) -> None:
    """Draw an operating point with both intervals."""
    recall, false_rejects = point.people_dropped, point.others_dropped
    axes.errorbar(
        [false_rejects.share],
        [recall.share],
        xerr=[
            [max(0.0, false_rejects.share - false_rejects.low)],
            [max(0.0, false_rejects.high - false_rejects.share)],
        ],
        yerr=[[max(0.0, recall.share - recall.low)], [max(0.0, recall.high - recall.share)]],
        fmt="o" if point.aim == "recall" else "s",
        color=INK,
        markerfacecolor=colour,
        markersize=6,
        linewidth=1,
        capsize=3,
        zorder=5,
    )


def describe(figures: TuneFigures) -> str:
    """Return the figure in two sentences."""
    best = max(figures.curves, key=lambda curve: curve.area)
    first = next((curve.scorer for curve in figures.curves if curve.kind == "committee"), "")
    marks = (
        f"; a circle is {first} at its threshold for the one, a square at that for the other, on images held out, with "
        "exact intervals"
    )
    return (
        f"Recall on {figures.people:,} labelled images with people against false rejects on {figures.others:,} "
        f"without, for every threshold; the highest area under the curve is that of {best.scorer}, {best.area:.3f} "
        f"[{best.low:.3f}, {best.high:.3f}]. The grey lines mark the wanted recall {figures.wanted_recall:g} and "
        f"the allowed false rejects {figures.max_false_rejects:g}{marks if first else ''}."
    )
