"""The page's markup. Every value is escaped by the template engine; what is inserted as markup is marked `| safe`."""

from __future__ import annotations

from scripts.lib.html_page import PAGE_START

HEAD = (
    PAGE_START
    + """<title>{{ title }}</title>
<style>{{ css | safe }}</style>
</head>
<body>
<header>
<h1><bdi>{{ title }}</bdi></h1>
<p class="lead">What was read, what was kept and why the rest was not; what was learnt from it, and how well.</p>
<nav aria-label="Contents">
<a href="#funnel">Funnel</a><a href="#people">People</a>{% if tuning %}<a href="#labelled">Labelled</a>{% endif %}
<a href="#sheets">Pictures</a>
<a href="#duplicates">Duplicates</a>
<a href="#selection">Selection</a>
<a href="#training">Training</a><a href="#results">Results</a><a href="#published">Published figures</a>
<a href="#limits">What is not shown</a><a href="#trace">Tracing a number</a>
</nav>
</header>
<main>
"""
)

SUMMARY = """
<section aria-label="Summary">
<div class="key">
{% for number, name in key_figures %}
<div><strong>{{ number }}</strong><span>{{ name }}</span></div>
{% endfor %}
</div>
{% if demo_detectors %}
<div class="panel warning" role="note"><p><strong>Not fit to clear a dataset.</strong> People were looked for by
demo-grade detectors ({{ demo_detectors | join(", ") }}). They show how the work is done, and are
not good enough to vouch for a selection.</p></div>
{% endif %}
<ul class="five">
{% for name, text in five_lines %}
<li><b>{{ name }}</b><span>{{ text }}</span></li>
{% endfor %}
</ul>
</section>
"""

FUNNEL = """
<section id="funnel">
<h2>Funnel</h2>
<div class="panel"><p><strong>{{ funnel.read | count }}</strong> rows read =
<strong>{{ funnel.kept | count }}</strong> kept + <strong>{{ rejected | count }}</strong> rejected
{% if stages_lost %}<span class="muted">({{ stages_lost }})</span>{% endif %}

<span class="tick">✓ adds up</span></p></div>
<figure>{{ funnel_drawing.markup | safe }}
<figcaption>{{ funnel_drawing.description }} Each row of metadata ends under the first reason that speaks against it,
or is kept.</figcaption></figure>
<table aria-label="Rows by reason">
<thead><tr><th scope="col">Reason</th><th scope="col" class="number">Rows</th>
<th scope="col" class="number">Of all read</th></tr></thead>
{% for stage, reasons in stage_reasons %}
<tbody>
<tr class="group"><th scope="rowgroup" colspan="3">{{ stage }}</th></tr>
{% for reason in reasons %}
<tr><th scope="row" class="plain"><code>{{ reason.name }}</code><small>{{ reason.text }}</small></th>
<td class="number">{{ reason.rows | count }}</td>
<td class="number">{{ reason.share }}</td></tr>
{% endfor %}
</tbody>
{% endfor %}
</table>
<details><summary>Reasons that took nothing <span>({{ idle_reasons | length }})</span></summary>
<table class="stack" aria-label="Reasons that took nothing"><tbody>
{% for reason in idle_reasons %}
<tr><th scope="row" class="plain"><code>{{ reason.name }}</code><small>{{ reason.text }}</small></th>
<td class="muted">{{ reason.stage }}</td></tr>
{% endfor %}
</tbody></table></details>
</section>
"""

PEOPLE = """
<section id="people">
<h2>How people were looked for</h2>
<p>Detectors measure first; the rules are applied afterwards, in their order, so another threshold needs no new
measurement. An image that a rule finds too high to keep and too low to drop is left out until a reviewer has looked at
it.</p>
{% if demo_detectors %}
<div class="panel warning" role="note"><p><strong>Not fit to clear a dataset.</strong> Detectors marked demo-grade
come inside installed packages, so that the whole road can be walked without downloads. Use the detectors of
<code>config.yaml</code> and a review by people for a dataset that is given to others.</p></div>
{% endif %}
<table class="stack" aria-label="Detectors">
<thead><tr><th scope="col">Detector</th><th scope="col">Kind</th><th scope="col">Looks for</th>
<th scope="col">Grade</th></tr></thead>
<tbody>
{% for detector in detectors %}
<tr><th scope="row">{{ detector.name }}</th><td data-label="Kind">{{ detector.kind }}</td>
<td data-label="Looks for">{{ detector.target }}</td>
<td data-label="Grade"><span{% if detector.demo %} class="tag"{% endif %}>{{ detector.grade }}</span></td></tr>
{% endfor %}
</tbody></table>
<table class="stack" aria-label="Rules">
<thead><tr><th scope="col">Rule</th><th scope="col">Drops at</th><th scope="col">Waits for a reviewer at</th>
<th scope="col">Reason</th></tr></thead>
<tbody>
{% for rule in rules %}
<tr><th scope="row">{{ rule.name }}</th><td data-label="Drops at">{{ rule.drop }}</td>
<td data-label="Waits for a reviewer at">{{ rule.review }}</td>
<td data-label="Reason"><code>{{ rule.reason }}</code></td></tr>
{% endfor %}
</tbody></table>
<p class="small muted">How many people these detectors miss is measured only on labelled
photographs{% if tuning %} (<a href="#labelled">below</a>){% endif %}, not on these rows.</p>
<h3>Looked at by people</h3>
<p>{% for sentence in review_sentences %}{{ sentence }} {% endfor %}
{% if review_pages %}<a href="{{ review_pages }}">The pages for reviewers and auditors</a>.{% endif %}</p>
<h3>People who are left</h3>
<p>{{ leak }}</p>
</section>
"""

SHEETS = """
<section id="sheets">
<h2>Pictures</h2>
<p>Samples drawn by a seed, the same in every rerun. On dropped images faces are blurred; where people were expected
and no face was found with certainty, the whole picture is. Under a picture: the evidence, and its creator.</p>
{% for sheet in sheets %}
<details open class="sheet"><summary>{{ sheet.name }} <span>{{ sheet.description }}</span></summary>
{% if sheet.text %}<p class="small muted">{{ sheet.text }}</p>{% endif %}
<figure style="--natural: {{ sheet.width }}px"><div class="wide" role="group" tabindex="0"
aria-label="{{ sheet.name }}, scrolls sideways">
<img alt="{{ sheet.name }}: {{ sheet.description }}" width="{{ sheet.width }}" height="{{ sheet.height }}"
src="data:image/png;base64,{{ sheet.data | safe }}"></div></figure></details>
{% endfor %}
{% if empty_sheets %}
<details><summary>Sheets without images <span>({{ empty_sheets | length }})</span></summary>
<p class="small muted">No image ended under: {{ empty_sheets | join(", ") }}.</p></details>
{% endif %}
</section>
"""

SELECTION = """
<section id="selection">
<h2>The selection, beside PASS</h2>
<table class="stack facts" aria-label="The selection and PASS">
<thead><tr><th scope="col">Of the images</th><th scope="col">Here</th><th scope="col">What PASS says of itself</th></tr>
</thead>
<tbody>
{% for topic, own, theirs, source in facts %}
<tr><th scope="row">{{ topic }}</th><td data-label="Here"><span>{{ own }}</span></td>
<td data-label="PASS"><span>{{ theirs }}<small>{{ source }}</small></span></td></tr>
{% endfor %}
</tbody></table>
<h3>Where they were taken</h3>
<figure>{{ positions.markup | safe }}
<figcaption>{{ positions.description }} The area of a circle is the logarithm of its images. PASS says of its own:
{{ pass_places }}.</figcaption></figure>
<div class="bars">
{% for title, entries in lists %}
<div><h3>{{ title }}</h3>
<table aria-label="{{ title }}"><tbody>
{% for entry in entries %}
<tr><th scope="row"><bdi>{{ entry.name }}</bdi><span class="bar" style="width: {{ entry.width }}%"></span></th>
<td class="number">{{ entry.images | count }}</td><td class="number muted">{{ entry.share }}</td></tr>
{% endfor %}
</tbody></table></div>
{% endfor %}
</div>
<p class="small muted">Names of photographers are shown because their licence asks for credit. Do not use them to link
images to people.</p>
</section>
"""
