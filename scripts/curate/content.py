"""Is it a picture that came? Servers say 200 and send an apology."""

from __future__ import annotations

import hashlib

from scripts.curate.settings import DownloadPolicy
from scripts.lib.images import sniff_format
from scripts.lib.reasons import DownloadReason

_PROBE_BYTES = 1024
_TEXT_CONTROLS = frozenset(b"\t\n\r\f\x1b")


def check_content(content: bytes, policy: DownloadPolicy) -> tuple[str, str]:
    """Return the reason and detail for which bytes that arrived whole are no candidate for an image, or ("", "").

    Only what is certain is turned away here: nothing, the site's known placeholder, and text (HTML, XML, JSON, S3's
    error page). Other formats pass, for `inspect_images` to name what is wrong with them.
    """
    if not content:
        return DownloadReason.INCOMPLETE, "0 bytes"
    if len(content) in policy.placeholder_bytes:
        return DownloadReason.PLACEHOLDER, f"{len(content)} bytes, as the placeholder"
    if policy.placeholder_sha256 and hashlib.sha256(content).hexdigest() in policy.placeholder_sha256:
        return DownloadReason.PLACEHOLDER, "SHA-256 of the placeholder"
    kind = text_kind(content)
    return (DownloadReason.NOT_AN_IMAGE, kind) if kind else ("", "")


def text_kind(content: bytes) -> str:
    """Return what sort of text the bytes are ("HTML", "XML", "JSON", "text"), "" when they are binary."""
    if sniff_format(content) is not None:
        return ""
    probe = content[:_PROBE_BYTES]
    head = probe.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "HTML"
    if head.startswith((b"<?xml", b"<svg", b"<error")):
        return "XML"
    if not _is_text(probe, whole=len(content) <= _PROBE_BYTES):
        return ""
    if head.startswith(b"<"):
        return "HTML"
    return "JSON" if head.startswith((b"{", b"[")) else "text"


def _is_text(probe: bytes, *, whole: bool) -> bool:
    if any(byte < 32 and byte not in _TEXT_CONTROLS for byte in probe):
        return False
    try:
        probe.decode("utf-8")
    except UnicodeDecodeError as error:
        # The probe may end inside a character.
        return not whole and error.start >= len(probe) - 3
    return True
