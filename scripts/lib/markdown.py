"""Text and tables in Markdown. Text from outside is shown as it reads and can neither format nor run anything."""

from __future__ import annotations

import html
import string
from collections.abc import Iterable, Sequence

from scripts.lib.plain_text import printable

# Harmless within a line; all other ASCII punctuation may be escaped by a backslash (CommonMark 2.4).
_PLAIN = set(",'-")
_ENTITIES = set('&<>"')


def markdown_text(text: str, longest: int = 200) -> str:
    """Return `text` as one line that Markdown and the HTML made of it show literally, cut to `longest` characters."""
    return "".join(_escaped(each) for each in printable(text, longest))


def _escaped(character: str) -> str:
    if character in _ENTITIES:
        return html.escape(character)
    return "\\" + character if character in string.punctuation and character not in _PLAIN else character


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table; cells are Markdown already. The second and later columns are set flush right."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return [f"| {' | '.join(row)} |" for row in (header, rule, *rows)]
