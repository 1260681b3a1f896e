"""How all figures look, and how they are written so that equal figures are equal bytes.

Colours are those of Okabe and Ito, which people with the common colour-blindnesses tell apart; what they say is also
said by shape (dashes, hatching) or by words, so that a black-and-white print loses nothing. Figures are made without
pyplot, so no display and no backend is asked for.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from scripts.lib.files import write_bytes

INK = "#1b1f24"
MUTED = "#5b6570"
LINE = "#d5dae0"
PAPER = "#ffffff"
MAIN = "#0072b2"  # blue
LOSS = "#d55e00"  # vermilion
SECOND = "#009e73"  # bluish green

_STYLE: dict[Any, Any] = {
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    # The font that comes inside matplotlib: the same picture on every machine.
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "hatch.color": LOSS,
    "hatch.linewidth": 0.9,
    "path.simplify": False,  # depends on the canvas; the data are thinned before they are drawn
    # Text stays text: it can be searched and read aloud, and an SVG in the page takes the page's font.
    "svg.fonttype": "none",
    "svg.hashsalt": "unpeopled",  # else ids are random
}


@contextmanager
def styled() -> Iterator[None]:
    """Set the figures' style, and nothing of a matplotlibrc that a machine may have."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def write_figure(figure: Figure, png: Path, svg: Path, title: str, description: str) -> None:
    """Write a figure as PNG and as SVG. Title and description become the SVG's own, for screen readers and the page.

    Neither file says when or by which version of matplotlib it was made.
    """
    picture, drawing = io.BytesIO(), io.BytesIO()
    with styled():
        figure.savefig(picture, format="png", dpi=160, metadata={"Software": None, "Description": description})
        figure.savefig(drawing, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = drawing.getvalue().decode("utf-8")
    head = f"<title>{escape(title)}</title>\n <desc>{escape(description)}</desc>"
    text, times = re.subn(r"(<svg [^>]*>)", lambda match: f"{match[1]}\n {head}", text, count=1)
    if times != 1:
        raise AssertionError("matplotlib wrote no <svg> element")
    write_bytes(png, picture.getvalue())
    write_bytes(svg, text.encode("utf-8"))
