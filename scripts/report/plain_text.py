"""Text from outside as harmless text, and numbers as a reader wants them."""

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


def count(number: int) -> str:
    """Return a whole number with commas: 1,440,191."""
    return f"{number:,}"


def share(part: int, whole: int) -> str:
    """Return part of whole in per cent with a sensible number of digits: 12.4 %, 0.03 %, under 0.01 %."""
    if whole == 0:
        return "–"
    percent = 100 * part / whole
    if part in (0, whole):
        return f"{percent:.0f} %"
    if percent < 0.01:
        return "< 0.01 %"
    if percent > 99.9:
        return "> 99.9 %"
    return f"{percent:.2f} %" if percent < 1 else f"{percent:.1f} %"


def signed(number: float, digits: int) -> str:
    """Return a number with its sign, a true minus among them: +1.2, −0.4, 0.0."""
    text = f"{abs(number):.{digits}f}"
    if float(text) == 0:
        return text
    return ("+" if number > 0 else "−") + text
