"""A figure's SVG as a part of a page: nothing active, no clash of ids, and the page's own colours and font.

Only elements and attributes on the lists below are passed on. A figure is a file of ours, yet it lies on a disk between
two steps, and what enters the page unescaped should be what this module says and nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from pathlib import Path
from xml.etree import ElementTree

from scripts.lib.errors import UserError
from scripts.lib.figure_style import INK, LINE, LOSS, MAIN, MUTED, PAPER, SECOND

_SVG = "{http://www.w3.org/2000/svg}"
_HREF = "{http://www.w3.org/1999/xlink}href"
_ELEMENTS = {"svg", "g", "defs", "clipPath", "path", "rect", "line", "use", "text", "tspan", "pattern", "circle"}
_GEOMETRY = {"d", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height", "viewBox", "transform"}
_ATTRIBUTES = _GEOMETRY | {"id", "style", "clip-path", "fill", "stroke", "patternUnits"}
_REFERENCE = re.compile(r"url\(#([^)]*)\)")
_UNSAFE = re.compile(r"url\((?!#)|expression|@import|javascript:", re.IGNORECASE)
_FONT_FAMILY = re.compile(r"font-family: [^;]*")
_COLOURS = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    LINE: "var(--line)",
    PAPER: "none",
    MAIN: "var(--main)",
    LOSS: "var(--loss)",
    SECOND: "var(--second)",
}


@dataclass(frozen=True)
class Drawing:
    """A figure for the page: `markup` is safe to insert; title and description are text."""

    title: str
    description: str
    markup: str


def read_drawing(path: Path, prefix: str) -> Drawing:
    """Read a figure that `write_figure` wrote; all its ids begin with `prefix` afterwards.

    Raises:
        UserError: the file is not an SVG.
    """
    try:
        root = ElementTree.fromstring(path.read_bytes())  # noqa: S314  expat limits entities, loads nothing
    except (OSError, ElementTree.ParseError) as error:
        raise UserError(f"{path} is not an SVG ({error}); delete it and run again to have it drawn again") from None
    if root.tag != f"{_SVG}svg":
        raise UserError(f"{path} is not an SVG but <{root.tag}>; delete it and run again to have it drawn again")
    title, description = root.findtext(f"{_SVG}title") or "", root.findtext(f"{_SVG}desc") or ""
    box = root.get("viewBox", "0 0 100 100")
    inner = "".join(_markup(child, prefix) for child in root)
    label = escape(f"{title}. {description}")
    markup = f'<svg viewBox="{escape(box)}" role="img" aria-label="{label}" class="figure">{inner}</svg>'
    return Drawing(title, description, markup)


def _markup(element: ElementTree.Element, prefix: str) -> str:
    name = str(element.tag).removeprefix(_SVG)
    if name not in _ELEMENTS:
        return ""
    attributes = "".join(_attribute(key, value, prefix) for key, value in element.items())
    inner = escape(element.text or "", quote=False).strip() if name in ("text", "tspan") else ""
    inner += "".join(_markup(child, prefix) for child in element)
    return f"<{name}{attributes}>{inner}</{name}>" if inner else f"<{name}{attributes}/>"


def _attribute(key: str, value: str, prefix: str) -> str:
    if key in (_HREF, "href"):
        return f' href="#{escape(prefix + value[1:])}"' if value.startswith("#") else ""
    if key not in _ATTRIBUTES or _UNSAFE.search(value):
        return ""
    if key == "id":
        value = prefix + value
    value = _REFERENCE.sub(lambda match: f"url(#{prefix}{match[1]})", value)
    if key == "style":
        value = _FONT_FAMILY.sub("font-family: var(--font)", value)
        for colour, variable in _COLOURS.items():
            value = value.replace(colour, variable)
    return f' {key}="{escape(value)}"'
