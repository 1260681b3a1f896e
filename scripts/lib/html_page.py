"""How pages are made: a template engine that escapes every value, and a policy that lets a page load nothing."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import jinja2

from scripts.lib.plain_text import printable

# How every page begins; the policy has to stand before anything that it governs.
PAGE_START = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{{ policy }}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
"""
LONGEST_TEXT = 2000  # characters of one value
# Pictures inside the page, and nothing else: no frame, no form, no address outside.
_POLICY = "default-src 'none'; img-src data:; {more}; base-uri 'none'; form-action 'none'"


def page_environment() -> jinja2.Environment:
    """Return an engine whose values are escaped, and for which a value that is not given is an error, not a blank."""
    return jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_plain,
    )


def _plain(value: object) -> object:
    """Return texts without characters that act; markup and all else as it is. Applied to every value that is shown."""
    is_markup = hasattr(value, "__html__")
    return printable(value, LONGEST_TEXT) if isinstance(value, str) and not is_markup else value


def page_policy(style: str, script: str = "") -> str:
    """Return the content security policy of a page: `style` and `script` are the sources that may act, "" for none."""
    return _POLICY.format(more="; ".join(f"{name}-src {value}" for name, value in _sources(style, script)))


def _sources(style: str, script: str) -> list[tuple[str, str]]:
    return [(name, value) for name, value in (("style", style), ("script", script)) if value]


def source_hash(text: str) -> str:
    """Return the source expression that allows the inline element with exactly this text, and no other."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def inline_json(value: Any) -> str:
    """Return JSON that can stand inside a script element: nothing in it can end the element or start markup."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
