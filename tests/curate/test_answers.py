"""What servers answer, and how they are asked: addresses, Retry-After, texts in the place of photos."""

from __future__ import annotations

import pytest

from scripts.curate.answers import retry_after
from scripts.curate.content import text_kind
from scripts.curate.stores import Candidate, fill_address


def test_fill_address() -> None:
    photo = Candidate("b66a26f0429984976a496a44812eb6", "s", "", "http://farm1.staticflickr.com/59/1_2.jpg")
    template = "https://host/data/images/{key:3}/{key:3:6}/{key}.jpg"
    assert fill_address(template, photo) == "https://host/data/images/b66/a26/b66a26f0429984976a496a44812eb6.jpg"
    assert fill_address("{download_url}", photo) == photo.download_url


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0),
        ("Thu, 01 Jan 1970 00:00:01 GMT", 0.0),
        ("soon", 0.0),
        ("-5", 0.0),
        ("", 0.0),
    ],
)
def test_retry_after(text: str, seconds: float) -> None:
    assert retry_after({"Retry-After": text} if text else {}, now=10.0) == seconds


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\n  <!DOCTYPE html><p>", "HTML"),
        (b"<p>not found</p>", "HTML"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>", "XML"),
        (b"<svg onload=alert(1)>\x01", "XML"),
        (b'[{"a": 1}]', "JSON"),
        (b"404", "text"),
        ("Größe".encode(), "text"),
        (b"x" * 1023 + "ä".encode() * 9, "text"),  # the probe ends inside a character
        (b"\xff\xd8\xff<html>", ""),
        (b"GIF89a\x01\x00", ""),
        (b"BM\x00\x00", ""),
        (bytes(range(256)), ""),
    ],
)
def test_text_kind(content: bytes, kind: str) -> None:
    assert text_kind(content) == kind
