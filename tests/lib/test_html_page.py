from __future__ import annotations

import base64
import hashlib
import json

import jinja2
import pytest

from scripts.lib.html_page import inline_json, page_environment, page_policy, source_hash


def test_json_cannot_leave_its_script_element():
    value = {"text": "</script><!--<script>&\u2028\u2029\"'\\", "number": 1.5}
    text = inline_json(value)
    assert json.loads(text) == value
    assert not set(text) & set("<>&\u2028\u2029")


def test_a_policy_allows_what_is_named_and_nothing_else():
    assert page_policy("'a'") == (
        "default-src 'none'; img-src data:; style-src 'a'; base-uri 'none'; form-action 'none'"
    )
    assert "style-src 'a'; script-src 'b';" in page_policy("'a'", "'b'")
    digest = base64.b64encode(hashlib.sha256("é".encode()).digest()).decode()
    assert source_hash("é") == f"'sha256-{digest}'"


def test_values_are_escaped_and_must_be_given():
    template = page_environment().from_string("{{ value }}|{{ mark | safe }}")
    shown = template.render(value="<b>\u202ex\x1b[1m</b>", mark="<i>")
    assert shown == "&lt;b&gt;x [1m&lt;/b&gt;|<i>"
    with pytest.raises(jinja2.UndefinedError):
        template.render(value="x")
