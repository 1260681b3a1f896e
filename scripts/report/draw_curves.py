"""Draw a run's loss with the line that it must get under, what the monitor saw, and the learning rate."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scripts.lib.errors import UserError
from scripts.lib.figure_style import INK, LOSS, MAIN, MUTED, SECOND, styled, write_figure
from scripts.lib.flags import input_file, output_file
from scripts.lib.number_columns import read_columns
from scripts.lib.recipe import read_recipe
from scripts.lib.step import run_step, step_parser
from scripts.pretrain.settings import Run, TrainSettings

log = logging.getLogger(__name__)

Values = npt.NDArray[np.float64]

NEEDED = ("step", "epoch", "loss", "learning_rate")
LOOKS = ("step", "knn", "chance", "rank_me", "feature_std")  # of monitor.csv
DRAWN_POINTS = 600  # more cannot be told apart at the figure's width
SMOOTHED_SHARE = 0.04  # of all rows, the width of the running mean
LEAST_SPAN = 0.1  # of the reference line, the least height of the loss axis: noise should look like noise
DASHES, DOTS = (0, (5, 3)), (0, (1, 2))
LOOKED: dict[str, Any] = {"linewidth": 1.6, "marker": "o", "markersize": 3.5}

Columns = dict[str, Values]


def read_metrics(path: Path) -> Columns:
    """Read metrics.csv: column → values [n]. An empty cell is not a number (NaN).

    Raises:
        UserError: a column is missing, a value is not a number, or there is no row.
    """
    columns = _read(path, NEEDED)
    if not len(columns["step"]):
        raise UserError(
            f"{path} has no rows: the run took no step, so there is no curve to draw. See its log under "
            "logs/pretrain/train/; fewer images than batch_size is the usual cause."
        )
    return columns


def read_looks(path: Path) -> Columns:
    """Read monitor.csv: column → values [n]; without rows where the run was not watched.

    Raises:
        UserError: a column is missing, or a value is not a number.
    """
    return _read(path, LOOKS)


def _read(path: Path, needed: Sequence[str]) -> Columns:
    return {name: np.array(values, dtype=np.float64) for name, values in read_columns(path, needed).items()}


def running_mean(values: Values, width: int) -> Values:
    """Return the centred mean over `width` rows (made odd) for each row, over fewer at both ends. [n] → [n]."""
    half = width // 2
    sums = np.concatenate([[0.0], np.cumsum(values)])
    rows = np.arange(len(values))
    low, high = np.maximum(rows - half, 0), np.minimum(rows + half + 1, len(values))
    means: Values = (sums[high] - sums[low]) / (high - low)
    return means


def thinned(x: Values, y: Values, points: int) -> tuple[Values, Values]:
    """Return at most `points` rows that draw as all rows would: of each equal stretch, the lowest and the highest."""
    if len(x) <= points:
        return x, y
    kept: list[int] = []
    for stretch in np.array_split(np.arange(len(x)), points // 2):
        kept += sorted({int(stretch[np.argmin(y[stretch])]), int(stretch[np.argmax(y[stretch])])})
    return x[kept], y[kept]


def curves_figure(metrics: Columns, looks: Columns, run: Run) -> Figure:
    """Return the figure: the loss above, then what there is of other measures, the learning rate below."""
    draws = [_draw_loss]
    draws += [_draw_neighbours] if np.isfinite(looks["knn"]).any() else []
    draws += [_draw_spread] if "feature_std" in metrics or len(looks["step"]) else []
    draws += [_draw_outputs] if _outputs(metrics) else []
    draws += [_draw_rank] if len(looks["step"]) else []
    draws += [_draw_rate]
    heights = [3.0, *[1.2] * (len(draws) - 2), 1.0]
    with styled():
        figure = Figure(figsize=(5.4, 1.05 * sum(heights)), layout="constrained")
        all_axes = figure.subplots(len(draws), 1, sharex=True, height_ratios=heights)
        for axes, draw in zip(all_axes, draws, strict=True):
            draw(axes, metrics, looks, run)
            axes.tick_params(length=3, labelsize=8.5)
            axes.yaxis.label.set_size(9)
            axes.ticklabel_format(axis="y", useOffset=False)
        last = all_axes[-1]
        last.set_xlabel(f"step ({_epochs(metrics)})", fontsize=9)
        last.ticklabel_format(axis="x", style="plain")
        figure.align_ylabels()
    return figure


def _legend(axes: Axes, columns: int) -> None:
    place = {"bbox_to_anchor": (0, 1), "borderaxespad": 0.2, "columnspacing": 1.4}
    axes.legend(loc="lower left", ncols=columns, frameon=False, fontsize=8.5, labelcolor=INK, **place)


def _draw_loss(axes: Axes, metrics: Columns, looks: Columns, run: Run) -> None:
    line = run.reference_loss
    finite = np.isfinite(metrics["loss"])
    step, loss = metrics["step"][finite], metrics["loss"][finite]
    axes.plot(*thinned(step, loss, DRAWN_POINTS), color=MAIN, alpha=0.3, linewidth=0.9, label="each row")
    smooth = running_mean(loss, max(1, round(SMOOTHED_SHARE * len(loss))))
    axes.plot(*thinned(step, smooth, DRAWN_POINTS), color=MAIN, linewidth=1.9, label="running mean")
    axes.axhline(line.value, color=LOSS, linestyle=DASHES, linewidth=1.4, label=line.formula)
    axes.set_ylabel("loss")
    low, high = axes.get_ylim()
    middle, half = (low + high) / 2, max(high - low, LEAST_SPAN * line.value) / 2
    axes.set_ylim(middle - half, middle + half)
    _legend(axes, 3)


def _draw_neighbours(axes: Axes, metrics: Columns, looks: Columns, run: Run) -> None:
    axes.plot(looks["step"], looks["knn"], color=MAIN, **LOOKED, label="kNN")
    first, chance = looks["knn"][0], looks["chance"][-1]
    axes.axhline(first, color=LOSS, linestyle=DASHES, linewidth=1.4, label="before the first step")
    axes.axhline(chance, color=MUTED, linestyle=DOTS, linewidth=1.2, label="chance")
    axes.set_ylabel("accuracy, %")
    _legend(axes, 3)


def _draw_spread(axes: Axes, metrics: Columns, looks: Columns, run: Run) -> None:
    if "feature_std" in metrics:
        smooth = running_mean(metrics["feature_std"], max(1, round(SMOOTHED_SHARE * len(metrics["step"]))))
        axes.plot(
            *thinned(metrics["step"], smooth, DRAWN_POINTS), color=MAIN, linewidth=1.6, label="compared by the loss"
        )
    if len(looks["step"]):
        axes.plot(looks["step"], looks["feature_std"], color=SECOND, **LOOKED, label="of the encoder")
    axes.axhline(0, color=LOSS, linestyle=DASHES, linewidth=1.4, label="collapse")
    axes.set_ylabel("feature\ndeviation")
    axes.set_ylim(top=max(1.0, axes.get_ylim()[1]))
    _legend(axes, 3)


def _outputs(metrics: Columns) -> str:
    """Return what the entropies of a method are of, "" where it has none."""
    return next((name.removesuffix("_information") for name in metrics if name.endswith("_information")), "")


def _draw_outputs(axes: Axes, metrics: Columns, looks: Columns, run: Run) -> None:
    width, name = max(1, round(SMOOTHED_SHARE * len(metrics["step"]))), _outputs(metrics)
    for kind, colour in (("information", MAIN), ("entropy", SECOND)):
        smooth = running_mean(metrics[f"{name}_{kind}"], width)
        axes.plot(*thinned(metrics["step"], smooth, DRAWN_POINTS), color=colour, linewidth=1.6, label=kind)
    axes.axhline(0, color=LOSS, linestyle=DASHES, linewidth=1.4, label="no information")
    axes.set_ylabel(f"{name},\nnats")
    _legend(axes, 3)


def _draw_rank(axes: Axes, metrics: Columns, looks: Columns, run: Run) -> None:
    axes.plot(looks["step"], looks["rank_me"], color=SECOND, **LOOKED)
    axes.set_ylabel("RankMe")
    axes.set_ylim(bottom=0)


def _draw_rate(axes: Axes, metrics: Columns, looks: Columns, run: Run) -> None:
    axes.plot(*thinned(metrics["step"], metrics["learning_rate"], DRAWN_POINTS), color=SECOND, linewidth=1.6)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("learning\nrate")


def _epochs(metrics: Columns) -> str:
    epochs = len(np.unique(metrics["epoch"]))
    return "1 epoch" if epochs == 1 else f"{epochs} epochs"


def in_words(metrics: Columns, looks: Columns, run: Run) -> str:
    """Return what the figure shows, for who does not see it."""
    line = run.reference_loss
    loss = metrics["loss"]
    text = f"Loss of {_epochs(metrics)}, from {loss[0]:.3f} to {loss[-1]:.3f}; dashed, {line.formula}: {line.value:.3f}"
    if np.isfinite(looks["knn"]).any():
        text += f". kNN accuracy from {looks['knn'][0]:.1f} % to {looks['knn'][-1]:.1f} %"
    if len(looks["step"]):
        text += f". RankMe from {looks['rank_me'][0]:.1f} to {looks['rank_me'][-1]:.1f}"
    return f"{text}."


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="JSON of the run's settings, as `train` gets it")
    parser.add_argument("--metrics", type=input_file, required=True, help="metrics.csv of the run")
    parser.add_argument("--monitor", type=input_file, required=True, help="monitor.csv of the run")
    parser.add_argument("--png", type=output_file, required=True, help="picture")
    parser.add_argument("--svg", type=output_file, required=True, help="the same as a drawing")
    args = parser.parse_args(argv)
    run = read_recipe(TrainSettings, args.recipe).run
    metrics, looks = read_metrics(args.metrics), read_looks(args.monitor)
    words = in_words(metrics, looks, run)
    write_figure(curves_figure(metrics, looks, run), args.png, args.svg, f"Curves of {run.name}", words)
    log.info("%s: %d rows. %s", run.name, len(metrics["step"]), words)


if __name__ == "__main__":
    run_step(main)
