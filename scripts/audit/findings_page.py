"""The page that shows an audit's findings: verdict, counts, first divergence, what follows from it, what is open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scripts.lib.html_page import PAGE_START, page_environment, page_policy, source_hash
from scripts.lib.page_style import BASE_CSS

LONGEST_LIST = 500  # entries of one list of the page; all are in the JSON

_STYLE = (
    BASE_CSS
    + """
main { max-width: 68rem; margin: 0 auto; padding: 1.5rem 1.25rem 4rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.1rem; margin: 2.25rem 0 .5rem; }
p { margin: .35rem 0; max-width: 46rem; }
.muted { color: var(--muted); }
.verdict { border-left: .35rem solid var(--good); background: var(--soft); padding: .6rem .9rem; margin: 1rem 0; }
.verdict.bad { border-color: var(--loss); background: var(--warn); }
.verdict.open { border-color: var(--main); }
dl { display: grid; grid-template-columns: minmax(8rem, max-content) 1fr; gap: .15rem 1.25rem; margin: .5rem 0; }
dt { color: var(--muted); } dd { margin: 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0; }
th, td { text-align: right; padding: .25rem .75rem; border-bottom: 1px solid var(--line); font-weight: 400; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
thead th { color: var(--muted); font-size: .9rem; }
td.some { color: var(--loss); font-weight: 650; }
ul.findings { list-style: none; margin: .5rem 0; padding: 0; }
ul.findings > li { border-top: 1px solid var(--line); padding: .5rem 0; }
.subject { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: .875rem;
  overflow-wrap: anywhere; }
.check { color: var(--muted); font-size: .875rem; }
details { margin: .5rem 0; } summary { cursor: pointer; color: var(--main); }
"""
)

_TEMPLATE = (
    PAGE_START
    + """<title>Audit: {{ command }}</title>
<style>{{ style }}</style>
</head>
<body>
<main>
{% macro entries(list, of) %}
<ul class="findings">
{% for each in list %}
<li><div><span class="subject">{{ each.subject }}</span> <span class="check">{{ each.check }}</span></div>
<p>{{ each.text }}</p>
{% if each.cause %}<p class="muted">{{ each.cause }}</p>{% endif %}
{% if of and inherited.get(each.subject) %}
{% set heirs = inherited[each.subject] %}
<details><summary>{{ "{:,}".format(heirs.number) }} inherited from it</summary>
{{ entries(heirs.shown, false) }}
{{ left_out(heirs) }}
</details>
{% endif %}
</li>
{% endfor %}
</ul>
{% endmacro %}
{% macro left_out(list) %}
{% if list.number > list.shown | length %}
<p class="muted">The first {{ "{:,}".format(list.shown | length) }} of {{ "{:,}".format(list.number) }};
all are in {{ command }}.json.</p>
{% endif %}
{% endmacro %}
<p class="muted">Audit of a run, command {{ command }}</p>
<h1>{{ title }}</h1>
<div class="verdict {{ mood }}"><p>{{ line }}</p></div>
{% if facts %}
<dl>
{% for name, values in facts %}
<dt>{{ name }}</dt><dd>{% for value in values %}{{ value }}{% if not loop.last %}<br>{% endif %}{% endfor %}</dd>
{% endfor %}
</dl>
{% endif %}
<h2>What was looked at</h2>
<div class="scroll"><table>
<thead><tr><th scope="col">check</th>
{% for verdict in verdicts %}<th scope="col">{{ verdict }}</th>{% endfor %}
</tr></thead>
<tbody>
{% for check, row in counts.items() %}
<tr><th scope="row">{{ check }}</th>
{% for name, number in row.items() %}
<td{% if number and name in ("different", "undecidable") %} class="some"{% endif %}>{{ "{:,}".format(number) }}</td>
{% endfor %}
</tr>
{% endfor %}
</tbody>
</table></div>
{% for section in sections if section.number %}
<h2>{{ section.title }}</h2>
<p class="muted">{{ section.text }}</p>
{% if section.folded %}<details><summary>{{ "{:,}".format(section.number) }} entries</summary>{% endif %}
{{ entries(section.shown, true) }}
{{ left_out(section) }}
{% if section.folded %}</details>{% endif %}
{% endfor %}
{% if limits %}
<h2>What this audit does not show</h2>
<ul>
{% for limit in limits %}
<li>{{ limit }}</li>
{% endfor %}
</ul>
{% endif %}
</main>
</body>
</html>
"""
)

_TITLES = {
    0: ("Within its class", ""),
    1: ("Different", "bad"),
    2: ("Not decided", "open"),
}


def render_page(report: Mapping[str, Any]) -> str:
    """Return the page of `report`: what the JSON of the same name holds."""
    title, mood = _TITLES[report["exit_code"]]
    engine = page_environment()
    heirs: dict[str, list[Mapping[str, Any]]] = {}
    for each in report["findings"]:
        if each["inherited"]:
            heirs.setdefault(each["inherited"], []).append(each)
    return engine.from_string(_TEMPLATE).render(
        command=report["command"],
        title=title,
        mood=mood,
        line=report["verdict"],
        policy=page_policy(source_hash(_STYLE)),
        style=_Plain(_STYLE),
        facts=[(name, _values(value)) for name, value in report["facts"].items()],
        verdicts=[name.replace("_", " ") for name in next(iter(report["counts"].values()), {})],
        counts=report["counts"],
        sections=list(_sections(report["findings"])),
        inherited={subject: _listed("", "", each) for subject, each in heirs.items()},
        limits=report["limits"],
    )


class _Plain(str):
    """Text of ours that enters the page as it is."""

    __slots__ = ()

    def __html__(self) -> str:
        return str(self)


def _values(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{name}: {item}" for name, item in value.items()]
    return [str(each) for each in value] if isinstance(value, list | tuple) else [str(value)]


def _sections(findings: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    own = [each for each in findings if each["verdict"] == "different" and not each["inherited"]]
    subjects = {each["subject"] for each in findings if not each["inherited"]}
    stray = [
        each
        for each in findings
        if each["inherited"] and each["verdict"] == "different" and each["inherited"] not in subjects
    ]
    rest = [each for each in findings if not each["inherited"]]
    return [
        _listed("First divergence", "The earliest in the order of the workflow; begin here.", own[:1]),
        _listed("Further divergences", "Each for itself, in the order of the workflow.", own[1:]),
        _listed("Inherited", "These follow from something that is not among the findings.", stray),
        _listed(
            "Could not be decided",
            "Something that the check needs is not there.",
            [each for each in rest if each["verdict"] == "undecidable"],
        ),
        _listed(
            "Not checked",
            "Looked for, and left alone for the reason given.",
            [each for each in rest if each["verdict"] == "not_checked"],
        ),
        _listed(
            "In order",
            "The same bytes, numbers within their tolerance, or figures that fit together.",
            [each for each in rest if each["verdict"] in ("same", "close", "consistent")],
            folded=True,
        ),
    ]


def _listed(title: str, text: str, entries: Sequence[Mapping[str, Any]], *, folded: bool = False) -> dict[str, Any]:
    shown = list(entries[:LONGEST_LIST])
    return {"title": title, "text": text, "number": len(entries), "shown": shown, "folded": folded}
