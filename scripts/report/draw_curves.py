"""Draw a run's loss with the line that it must get under, and its learning rate."""

from __future__ import annotations

import csv
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from scripts.lib.errors import UserError
from scripts.lib.figure_style import INK, LOSS, MAIN, SECOND, styled, write_figure
from scripts.lib.recipe import read_recipe
from scripts.lib.step import run_step, step_parser
from scripts.pretrain.settings import ReferenceLoss, Run, TrainSettings

log = logging.getLogger(__name__)

Values = npt.NDArray[np.float64]

NEEDED = ("step", "epoch", "loss", "learning_rate")
DRAWN_POINTS = 600  # more cannot be told apart at the figure's width
SMOOTHED_SHARE = 0.04  # of all rows, the width of the running mean
FINAL_SHARE = 0.05  # of all rows, over which the final loss is the mean
# A loss within this share of the reference line is called "at" it. A run that learns leaves it by more within an epoch.
AT_LINE = 0.02
LEAST_SPAN = 0.1  # of the reference line, the least height of the loss axis: noise should look like noise


@dataclass(frozen=True)
class Metrics:
    """Columns of metrics.csv, one entry for each row: step [n], epoch [n], loss [n], learning_rate [n]."""

    step: Values
    epoch: Values
    loss: Values
    learning_rate: Values


def read_metrics(path: Path) -> Metrics:
    """Read the needed columns of metrics.csv; others are passed over. An empty loss or rate is not a number (NaN).

    Raises:
        UserError: a column is missing, a value is not a number, or there is no row.
    """
    columns: dict[str, list[float]] = {name: [] for name in NEEDED}
    with path.open(newline="", encoding="utf-8") as handle:
        reader = csv.DictReader(handle)
        if missing := [name for name in NEEDED if name not in (reader.fieldnames or [])]:
            raise UserError(
                f"{path} has no column {', '.join(missing)}; expected {', '.join(NEEDED)}. Train the run again."
            )
        for number, row in enumerate(reader, start=2):
            for name in NEEDED:
                columns[name].append(_number(row[name], path, number, name))
    if not columns["step"]:
        raise UserError(
            f"{path} has no rows: the run took no step, so there is no curve to draw. See its log under "
            "logs/pretrain/train/; fewer images than batch_size is the usual cause."
        )
    return Metrics(**{name: np.array(values, dtype=np.float64) for name, values in columns.items()})


def _number(text: str | None, path: Path, row: int, column: str) -> float:
    try:
        return float(text) if text else math.nan
    except ValueError:
        raise UserError(f"{path}, line {row}: {column} is {text!r}, expected a number. Train the run again.") from None


def final_loss(loss: Values) -> float:
    """Return the mean of the last rows, NaN when one of them is not finite."""
    return float(np.mean(loss[-max(1, round(FINAL_SHARE * len(loss))) :]))


def diagnose(loss: Values, line: ReferenceLoss) -> str:
    """Return one sentence: what the loss [n] says beside the reference line."""
    if not np.isfinite(loss).all():
        first = int(np.argmin(np.isfinite(loss))) + 1
        return f"The loss stops being a finite number in row {first} of {len(loss)}: the run diverged."
    final = final_loss(loss)
    start, name = f"The loss ends at {final:.3f}", line.formula.partition(",")[0]
    margin = line.value - final
    if margin > AT_LINE * line.value:
        return f"{start}, {margin:.3f} below {name} = {line.value:.3f}: it learns to tell images apart."
    if margin >= -AT_LINE * line.value:
        return f"{start}, at {name} = {line.value:.3f}: collapsed, or not started."
    return f"{start}, {-margin:.3f} above {name} = {line.value:.3f}: worse than guessing, the run went wrong."


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


def curves_figure(metrics: Metrics, run: Run) -> Figure:
    """Return the figure: the loss, raw and smoothed, with the reference line; the learning rate below, same steps."""
    line = run.reference_loss
    finite = np.isfinite(metrics.loss)
    step, loss = metrics.step[finite], metrics.loss[finite]
    with styled():
        figure = Figure(figsize=(5.4, 4.2), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        upper.plot(*thinned(step, loss, DRAWN_POINTS), color=MAIN, alpha=0.3, linewidth=0.9, label="each row")
        smooth = running_mean(loss, max(1, round(SMOOTHED_SHARE * len(loss))))
        upper.plot(*thinned(step, smooth, DRAWN_POINTS), color=MAIN, linewidth=1.9, label="running mean")
        upper.axhline(line.value, color=LOSS, linestyle=(0, (5, 3)), linewidth=1.4, label=line.formula)
        upper.set_ylabel("loss")
        upper.legend(loc="upper left", bbox_to_anchor=(0, 1.16), ncols=3, frameon=False, fontsize=8.5, labelcolor=INK)
        lower.plot(*thinned(metrics.step, metrics.learning_rate, DRAWN_POINTS), color=SECOND, linewidth=1.6)
        lower.set_ylim(bottom=0)
        lower.set(ylabel="learning rate", xlabel=f"step ({_epochs(metrics)})")
        low, high = upper.get_ylim()
        middle, half = (low + high) / 2, max(high - low, LEAST_SPAN * line.value) / 2
        upper.set_ylim(middle - half, middle + half)
        for axes in (upper, lower):
            axes.tick_params(length=3, labelsize=8.5)
            axes.yaxis.label.set_size(9)
            axes.xaxis.label.set_size(9)
            axes.ticklabel_format(axis="y", useOffset=False)
        lower.ticklabel_format(axis="x", style="plain")
        figure.align_ylabels()
    return figure


def _epochs(metrics: Metrics) -> str:
    epochs = len(np.unique(metrics.epoch))
    return "1 epoch" if epochs == 1 else f"{epochs} epochs"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="JSON of the run's settings, as `train` gets it")
    parser.add_argument("--metrics", type=Path, required=True, help="metrics.csv of the run")
    parser.add_argument("--png", type=Path, required=True, help="picture")
    parser.add_argument("--svg", type=Path, required=True, help="the same as a drawing")
    args = parser.parse_args(argv)
    run = read_recipe(TrainSettings, args.recipe).run
    metrics = read_metrics(args.metrics)
    sentence = diagnose(metrics.loss, run.reference_loss)
    write_figure(curves_figure(metrics, run), args.png, args.svg, f"Loss and learning rate of {run.name}", sentence)
    log.info("%s: %d rows. %s", run.name, len(metrics.step), sentence)


if __name__ == "__main__":
    run_step(main)
