"""Numbers as a reader wants them."""

from __future__ import annotations


def noun(name: str, number: int) -> str:
    """Return `name` in the singular or plural that goes with `number`."""
    return name if number == 1 else f"{name}s"


def of(name: str, number: int) -> str:
    """Return a number and what it counts: "1 image", "1,200 images"."""
    return f"{count(number)} {noun(name, number)}"


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


def decimal(value: float) -> str:
    """Return a number with one digit after the point and a true minus sign: 59.5, −0.4."""
    return f"{round(value, 1) + 0.0:.1f}".replace("-", "−")
