"""Templates and values in, one HTML text out."""

from __future__ import annotations

from collections.abc import Mapping

from scripts.lib.html_page import page_environment, page_policy
from scripts.report.number_text import count
from scripts.report.page_style import CSS
from scripts.report.page_template import FUNNEL, HEAD, PEOPLE, SELECTION, SHEETS, SUMMARY
from scripts.report.page_template_duplicates import DUPLICATES
from scripts.report.page_template_results import LIMITS, PUBLISHED, RESULTS, TRAINING
from scripts.report.page_template_tuning import TUNING

# No script. Styles inline, because bars and pictures have a width of their own.
POLICY = page_policy("'unsafe-inline'")
SECTIONS = (HEAD, SUMMARY, FUNNEL, PEOPLE, TUNING, SHEETS, DUPLICATES, SELECTION, TRAINING, RESULTS, PUBLISHED, LIMITS)


def render_page(values: Mapping[str, object]) -> str:
    """Return the page. A value that a template names and `values` lacks is an error, not a blank."""
    environment = page_environment()
    environment.filters["count"] = count
    shared = {**values, "css": CSS, "policy": POLICY}
    return "".join(environment.from_string(section).render(shared) for section in SECTIONS)
