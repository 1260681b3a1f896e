"""Text from outside as harmless text."""

from __future__ import annotations

import re
import unicodedata

_BLANKS = re.compile(r"\s+")
# Cc control (newline, escape), Cf format (right-to-left marks, zero width), Cs lone surrogates, Co private use,
# Zl and Zp line and paragraph separators.
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


def printable(text: str, longest: int) -> str:
    """Return `text` on one line, without characters that act instead of being seen, cut to `longest` characters.

    Escaping for HTML is not done here but where the text enters a page, by the template engine.
    """
    kept = "".join(_seen(character) for character in text)
    flat = _BLANKS.sub(" ", kept).strip()
    return flat if len(flat) <= longest else flat[: longest - 1].rstrip() + "…"


def _seen(character: str) -> str:
    category = unicodedata.category(character)
    if category not in _UNSEEN:
        return character
    return "" if category in ("Cf", "Cs", "Co") else " "
