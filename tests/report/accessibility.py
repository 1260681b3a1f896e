"""What an accessibility checker finds in a page's markup and colours, without a browser.

The rules are those of WCAG 2.1 A and AA that markup can break; numbers are its success criteria.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "img", "br", "path", "rect", "use", "line", "circle", "input", "link", "hr", "col", "source", "wbr"}
HEADINGS = {f"h{level}": level for level in range(1, 7)}
NAMING = ("aria-label", "aria-labelledby")


@dataclass
class Node:
    """An element: its attributes, its children, and the text and texts of pictures inside it."""

    tag: str
    attributes: dict[str, str]
    children: list[Node] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        inner = " ".join([*self.words, *(child.text for child in self.children)])
        own = self.attributes.get("alt", "") or self.attributes.get("aria-label", "")
        return re.sub(r"\s+", " ", f"{inner} {own}").strip()

    def all(self, *tags: str) -> list[Node]:
        found = [self] if not tags or self.tag in tags else []
        return found + [each for child in self.children for each in child.all(*tags)]


class Tree(HTMLParser):
    """The elements of a page under `root`."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.root = Node("", {})
        self._open = [self.root]
        self.feed(page)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open[-1].children.append(Node(tag, {name: value or "" for name, value in attrs}))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self._open.append(self._open[-1].children[-1])

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        self._open[-1].words.append(data)


def _named(node: Node) -> bool:
    return any(node.attributes.get(name, "").strip() for name in NAMING)


def _document(root: Node) -> list[str]:
    found = []
    html = root.all("html")
    if not html or not html[0].attributes.get("lang"):
        found.append("3.1.1: html has no lang")
    if not any(each.text for each in root.all("title")):
        found.append("2.4.2: no title")
    found += [f"1.3.1: {len(root.all(tag))} <{tag}>, 1 expected" for tag in ("main", "h1") if len(root.all(tag)) != 1]
    if any(
        "user-scalable" in each.attributes.get("content", "") or "maximum-scale" in each.attributes.get("content", "")
        for each in root.all("meta")
    ):
        found.append("1.4.4: the page forbids zooming")
    ids = [each.attributes["id"] for each in root.all() if "id" in each.attributes]
    found += [f"4.1.1: id {name} occurs {ids.count(name)} times" for name in sorted(set(ids)) if ids.count(name) > 1]
    for each in root.all():
        for name in ("aria-labelledby", "aria-describedby", "for"):
            found += [
                f"1.3.1: {name}={to} names nothing" for to in each.attributes.get(name, "").split() if to not in ids
            ]
        if each.attributes.get("tabindex", "0") not in ("0", "-1"):
            found.append(f"2.4.3: <{each.tag}> has a positive tabindex")
    return found


def _headings(root: Node) -> list[str]:
    found, before = [], 0
    for each in root.all(*HEADINGS):
        level = HEADINGS[each.tag]
        if level > before + 1:
            found.append(f"1.3.1: {each.tag} “{each.text}” follows h{before}")
        if not each.text:
            found.append(f"2.4.6: an empty {each.tag}")
        before = level
    return found


def _pictures(root: Node) -> list[str]:
    found = [
        f"1.1.1: img without alt: {each.attributes.get('src', '')[:30]}"
        for each in root.all("img")
        if not each.attributes.get("alt", "").strip()
    ]
    outer = [each for each in root.all("svg") if each.attributes.get("aria-hidden") != "true"]
    found += [
        "1.1.1: svg without role=img and a name"
        for each in outer
        if each.attributes.get("role") != "img" or not _named(each)
    ]
    return found


def _tables(root: Node) -> list[str]:
    found = []
    for table in root.all("table"):
        start = table.text[:40]
        if not table.all("caption") and not _named(table):
            found.append(f"1.3.1: a table without caption or label: {start}")
        if not table.all("th"):
            found.append(f"1.3.1: a table without th: {start}")
        for cell in table.all("th"):
            if cell.attributes.get("scope") not in ("col", "row", "colgroup", "rowgroup"):
                found.append(f"1.3.1: th without scope: {cell.text[:40]}")
            if not cell.text:
                found.append(f"1.3.1: an empty th in: {start}")
    return found


def _controls(root: Node) -> list[str]:
    found = [f"2.4.4: a link without text to {each.attributes.get('href')}" for each in root.all("a") if not each.text]
    found += [f"4.1.2: an empty {each.tag}" for each in root.all("button", "summary") if not each.text]
    labelled = {each.attributes.get("for") for each in root.all("label")}
    inside = {id(each) for label in root.all("label") for each in label.all("input", "select", "textarea")}
    for each in root.all("input", "select", "textarea"):
        if not (_named(each) or id(each) in inside or each.attributes.get("id") in labelled):
            found.append(f"4.1.2: <{each.tag}> without a label")
    for each in root.all():
        plain = each.attributes.get("role") in ("region", "group") or (each.tag == "nav")
        if plain and not _named(each):
            found.append(f"4.1.2: <{each.tag}> is a region without a name")
        if each.attributes.get("tabindex") == "0" and not each.attributes.get("role") and each.tag != "summary":
            found.append(f"4.1.2: <{each.tag}> takes the focus and has no role")
    return found


def findings(page: str) -> list[str]:
    """Return what is wrong with a page, one line each; empty when nothing is."""
    root = Tree(page).root
    return [*_document(root), *_headings(root), *_pictures(root), *_tables(root), *_controls(root)]


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours #rrggbb, 1 to 21 (WCAG 2.1, "contrast ratio")."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def schemes(css: str) -> list[dict[str, str]]:
    """Return the colour variables of each `:root` block of a style sheet, the later ones laid over the first."""
    blocks = [dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root \{([^}]*)\}", css)]
    return [{**blocks[0], **block} for block in blocks]
