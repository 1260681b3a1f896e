"""Draw where the kept images were taken, counted in squares of five degrees; no image's own position is shown.

A plain grid of longitudes and latitudes without coastlines: those would need data from outside.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from matplotlib.figure import Figure

from scripts.lib.figure_style import MAIN, MUTED, PAPER, styled, write_figure
from scripts.lib.flags import input_file, output_file
from scripts.lib.selection_table import read_kept
from scripts.lib.step import run_step, step_parser
from scripts.report.number_text import count, share

log = logging.getLogger(__name__)

SQUARE = 5  # degrees
LARGEST = 30.0  # area of the largest circle, in square points: a square is 22
WIDTH, HEIGHT = 5.4, 3.15  # inches
NAMED = (
    (-100, 40, "North America"),
    (-58, -15, "South America"),
    (15, 50, "Europe"),
    (20, 5, "Africa"),
    (95, 45, "Asia"),
    (134, -25, "Australia"),
)

Squares = dict[tuple[int, int], int]  # (west, south) of a square in degrees → images


def count_squares(selection: Path) -> tuple[Squares, int]:
    """Return the images of each square, and how many kept images there are, with a position or without one.

    Latitude 90 belongs to the northernmost square and longitude 180 to the easternmost; what is not on Earth is left
    out.
    """
    table = read_kept(selection, ["latitude", "longitude"])
    columns = (pc.fill_null(table[name], float("nan")).to_numpy() for name in ("latitude", "longitude"))
    latitude, longitude = (np.asarray(column, dtype=np.float64) for column in columns)
    real = (np.abs(latitude) <= 90) & (np.abs(longitude) <= 180)  # false where one is not a number
    west = np.minimum(np.floor(longitude[real] / SQUARE) * SQUARE, 180 - SQUARE).astype(int)
    south = np.minimum(np.floor(latitude[real] / SQUARE) * SQUARE, 90 - SQUARE).astype(int)
    found = Counter(zip(west.tolist(), south.tolist(), strict=True))
    return dict(sorted(found.items())), table.num_rows


def describe_positions(squares: Squares, images: int) -> str:
    """Return the figure in words."""
    located = sum(squares.values())
    if not located:
        return f"None of {count(images)} kept images carries a position."
    most = max(squares.values())
    return (
        f"{count(located)} of {count(images)} kept images ({share(located, images)}) carry a position, in "
        f"{count(len(squares))} square{'s' * (len(squares) > 1)} of {SQUARE} degrees; at most {count(most)} in one."
    )


def positions_figure(squares: Squares) -> Figure:
    """Return the figure: a circle in the middle of each square, its area as the logarithm of the images."""
    with styled():
        figure = Figure(figsize=(WIDTH, HEIGHT))
        axes = figure.add_axes((0.085, 0.11, 0.88, 0.86))
        axes.set(xlim=(-180, 180), ylim=(-90, 90), aspect="equal")
        axes.set_xticks(range(-180, 181, 60), ["180°", "120° W", "60° W", "0°", "60° E", "120° E", "180°"], size=7)
        axes.set_yticks(range(-60, 61, 30), ["60° S", "30° S", "0°", "30° N", "60° N"], size=7)
        axes.set_axisbelow(True)
        for longitude, latitude, name in NAMED:
            axes.text(longitude, latitude, name, size=7, color=MUTED, ha="center", va="center")
        if squares:
            corners = np.array(list(squares), dtype=float) + SQUARE / 2
            images = np.log1p(np.array(list(squares.values()), dtype=float))
            area = LARGEST * images / images.max()
            axes.scatter(corners[:, 0], corners[:, 1], area, color=MAIN, alpha=0.75, edgecolor=PAPER, lw=0.3)
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--selection", type=input_file, required=True, help="table of select")
    parser.add_argument("--png", type=output_file, required=True, help="picture")
    parser.add_argument("--svg", type=output_file, required=True, help="the same as a drawing")
    args = parser.parse_args(argv)
    squares, images = count_squares(args.selection)
    description = describe_positions(squares, images)
    write_figure(positions_figure(squares), args.png, args.svg, "Where the kept images were taken", description)
    log.info("%s", description)


if __name__ == "__main__":
    run_step(main)
