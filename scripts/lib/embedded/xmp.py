"""Counts the people that XMP names or frames, and says whether it holds a position.

The text is searched, not parsed: a parser would have to be kept from expanding entities, and would refuse the whole of
a packet that is damaged at one place, although what it says of a person can still be read. The patterns are written
so that the time is linear in the text; names of prefixes do not matter.
"""

from __future__ import annotations

import re

MAX_XMP_BYTES = 1 << 23  # searched of one file

# Metadata Working Group (mwg-rs), also ACDSee: a region's Type is Face, Pet, Focus or BarCode; attribute or element.
_FACE = re.compile(rb""":Type(?:\s{0,64}=\s{0,64}["']|\s{0,64}>)\s{0,64}Face\s{0,64}["'<]""")
# Microsoft (MP:RegionInfo): a region may have a name, a rectangle or both.
_MICROSOFT = b"photo/1.2/t/Region#"
_DISPLAY_NAME = re.compile(rb"[\s<][\w.-]{1,64}:PersonDisplayName(?:\s{0,64}=|\s{0,64}>)")
_RECTANGLE = re.compile(rb"[\s<][\w.-]{1,64}:Rectangle(?:\s{0,64}=|\s{0,64}>)")
# IPTC: lists of the persons shown, plain or with details, and regions whose content is a human.
_PERSONS = re.compile(rb"<[\w.-]{1,64}:PersonInImage(?:WDetails)?(?:\s[^<>]{0,1000})?/?>")
_PERSONS_END = b":PersonInImage"
_ITEM = re.compile(rb"<[\w.-]{1,64}:li[\s>/]")
_HUMAN = re.compile(rb"imageregiontype/human")
_POSITION = re.compile(rb""":GPSL(?:at|ong)itude(?:\s{0,64}=\s{0,64}["']|\s{0,64}>)\s{0,64}[^"'<\s]""")


def xmp_text(packets: list[bytes]) -> bytes:
    """Return packets as one searchable text of at most `MAX_XMP_BYTES`. UTF-16 and UTF-32 lose their zeros."""
    text = b"\n".join(packets)[:MAX_XMP_BYTES]
    return text.replace(b"\x00", b"") if b"\x00" in text else text


def count_people(text: bytes) -> int:
    """Return how many persons the text tags at least.

    Programs write the same persons in several ways side by side, so the largest count of one way is taken, not the sum.
    """
    rectangles = len(_RECTANGLE.findall(text)) if _MICROSOFT in text else 0
    counts = (len(pattern.findall(text)) for pattern in (_FACE, _DISPLAY_NAME, _HUMAN))
    return max(rectangles, _count_listed(text), *counts)


def _count_listed(text: bytes) -> int:
    """Return the items of the lists of persons."""
    count, at = 0, 0
    while opened := _PERSONS.search(text, at):
        end = text.find(_PERSONS_END, opened.end())
        end = len(text) if end < 0 else end
        if not opened[0].endswith(b"/>"):  # an empty list
            count += len(_ITEM.findall(text, opened.end(), end))
        at = opened.end() if opened[0].endswith(b"/>") else end
    return count


def has_position(text: bytes) -> bool:
    """Return whether the text holds a latitude or longitude."""
    return _POSITION.search(text) is not None
