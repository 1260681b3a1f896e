"""Draw the funnel: what is left after each stage, and what each reason took."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scripts.lib.accounting import Account
from scripts.lib.figure_style import LOSS, MAIN, MUTED, styled, write_figure
from scripts.lib.flags import input_file, output_file
from scripts.lib.step import run_step, step_parser
from scripts.report.accounts import read_funnel
from scripts.report.number_text import count, share
from scripts.report.reason_texts import stage_losses

log = logging.getLogger(__name__)

# Layout, in inches and in rows. Each bar is a row: a line of text, the bar, a line of losses.
WIDTH = 5.4
ROW_HEIGHT = 0.72
HEAD = 0.32
LONGEST_LINE = 72  # characters of the line of losses: the largest are named, the rest are summed
# Below this share of the first bar the last one is a hair line, and lengths become logarithms.
SMALLEST_LINEAR_SHARE = 0.005


def bar_scale(account: Account) -> tuple[Callable[[int], float], bool]:
    """Return rows → bar length in [0, 1], and whether lengths are logarithms.

    A logarithmic bar is log(1 + rows) / log(1 + read): no rows, no bar.
    """
    read = max(account["read"], 1)
    smallest = min([left for _, _, left in stage_losses(account) if left > 0], default=read)
    if smallest >= SMALLEST_LINEAR_SHARE * read:
        return lambda rows: rows / read, False
    return lambda rows: math.log1p(rows) / math.log1p(read), True


def loss_line(lost: dict[str, int]) -> str:
    """Return the losses of a stage in words, largest first: `− 1,204 face · 77 person`."""
    if not lost:
        return "nothing lost"
    # Equal numbers keep the order of the pipeline, because sorting is stable.
    ranked = sorted(lost.items(), key=lambda item: -item[1])
    for named in range(len(ranked), 0, -1):
        parts = [f"{count(rows)} {reason.replace('_', ' ')}" for reason, rows in ranked[:named]]
        if rest := ranked[named:]:
            number = count(sum(rows for _, rows in rest))
            parts.append(f"{number} for {len(rest)} more reason{'s' if len(rest) > 1 else ''}")
        line = "− " + " · ".join(parts)
        if len(line) <= LONGEST_LINE:
            break
    return line


def describe_funnel(account: Account) -> str:
    """Return the figure in one sentence."""
    read, kept = account["read"], account["kept"]
    return f"Of {count(read)} rows read, {count(kept)} were kept ({share(kept, read)})."


def funnel_figure(account: Account) -> Figure:
    """Return the figure: one bar for what was read and one for what each stage leaves, its losses hatched beside it."""
    steps = stage_losses(account)
    length, logarithmic = bar_scale(account)
    height = HEAD + ROW_HEIGHT * (len(steps) + 1)
    with styled():
        figure = Figure(figsize=(WIDTH, height))
        axes = figure.add_axes((0.002, 0.0, 0.996, 1 - HEAD / height))
        axes.set(xlim=(0, 1), ylim=(len(steps) + 0.98, -0.02))
        axes.axis("off")
        _draw_row(axes, 0, "read", (account["read"], account["read"]))
        axes.barh(0.46, length(account["read"]), height=0.3, color=MAIN)
        before = account["read"]
        for row, (stage, lost, left) in enumerate(steps, start=1):
            _draw_row(axes, row, stage.survivors, (left, account["read"]))
            axes.text(0, row + 0.78, loss_line(lost), size=8.5, color=MUTED, va="center")
            axes.barh(row + 0.46, length(left), height=0.3, color=MAIN)
            if before > left:
                axes.barh(
                    row + 0.46,
                    length(before) - length(left),
                    left=length(left),
                    height=0.3,
                    facecolor="none",
                    edgecolor=LOSS,
                    linewidth=0.8,
                    hatch="////",
                )
            before = left
        scale = "bar lengths are logarithms" if logarithmic else "bar lengths are to scale"
        figure.text(0.998, 1 - 0.2 / height, f"hatched: lost in this stage; {scale}", ha="right", color=MUTED, size=8)
    return figure


def _draw_row(axes: Axes, row: int, name: str, rows: tuple[int, int]) -> None:
    part, whole = rows
    axes.text(0, row + 0.17, name, size=10.5, weight="bold", va="center")
    axes.text(0.87, row + 0.17, count(part), size=10.5, va="center", ha="right")
    axes.text(1, row + 0.17, share(part, whole), size=10.5, va="center", ha="right")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--funnel", type=input_file, required=True, help="JSON of count_funnel")
    parser.add_argument("--png", type=output_file, required=True, help="picture")
    parser.add_argument("--svg", type=output_file, required=True, help="the same as a drawing")
    args = parser.parse_args(argv)
    account = read_funnel(args.funnel)
    description = describe_funnel(account)
    write_figure(funnel_figure(account), args.png, args.svg, "From rows read to images kept", description)
    log.info("%s", description)


if __name__ == "__main__":
    run_step(main)
