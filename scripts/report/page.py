"""Templates and values in, one HTML text out."""

from __future__ import annotations

from collections.abc import Mapping

import jinja2

from scripts.lib.plain_text import printable
from scripts.report.number_text import count
from scripts.report.page_style import CSS
from scripts.report.page_template import FUNNEL, HEAD, PEOPLE, SELECTION, SHEETS, SUMMARY
from scripts.report.page_template_results import LIMITS, PUBLISHED, RESULTS, TRAINING
from scripts.report.page_template_tuning import TUNING

# Pictures and styles inside the page, and nothing else: no script, no frame, no address outside.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
LONGEST_TEXT = 2000  # characters of one value
SECTIONS = (HEAD, SUMMARY, FUNNEL, PEOPLE, TUNING, SHEETS, SELECTION, TRAINING, RESULTS, PUBLISHED, LIMITS)


def _plain(value: object) -> object:
    """Return texts without characters that act; markup and all else as it is. Applied to every value that is shown."""
    is_markup = hasattr(value, "__html__")
    return printable(value, LONGEST_TEXT) if isinstance(value, str) and not is_markup else value


def render_page(values: Mapping[str, object]) -> str:
    """Return the page. A value that a template names and `values` lacks is an error, not a blank."""
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_plain,
    )
    environment.filters["count"] = count
    shared = {**values, "css": CSS, "policy": POLICY}
    return "".join(environment.from_string(section).render(shared) for section in SECTIONS)
