"""The page's section on labelled images, empty when none were given. Same rules as `page_template`."""

from __future__ import annotations

TUNING = """
{% if tuning %}
<section id="labelled">
<h2>On labelled images</h2>
<p>{{ tuning.images }} <em>Held out</em> figures were counted on images that neither thresholds nor coefficients were
chosen on ({{ tuning.folds }}); they are what to expect of new images like these. Brackets are exact
{{ tuning.confidence }} intervals. Nothing here changed a verdict: thresholds are copied to the configuration by
hand.</p>
<figure>{{ tuning.drawing.markup | safe }}<figcaption>{{ tuning.drawing.description }}</figcaption></figure>
<h3>What each detector and committee can do</h3>
<p>One threshold for the recall, one for the false rejects; with reviewers, who look at what lies between the two, both
are had at once.</p>
<table class="stack" aria-label="Detectors and committees">
<thead><tr><th scope="col">Scores of</th><th scope="col" class="number">Area<small>under the curve</small></th>
<th scope="col" class="number">At recall {{ tuning.wanted }}<small>recall, then false rejects</small></th>
<th scope="col" class="number">At false rejects {{ tuning.allowed }}<small>recall, then false rejects</small></th>
<th scope="col" class="number">With reviewers
<small>people dropped or seen,<br>then others seen</small></th>
</tr></thead>
<tbody>
{% for row in tuning.scorers %}
<tr><th scope="row">{{ row.name }}</th>
<td class="number" data-label="Area"><span>{{ row.area[0] }}<small>{{ row.area[1] }}</small></span></td>
<td class="number" data-label="At the recall"><span>{{ row.recall[0] }}<small>{{ row.recall[1] }}</small></span></td>
<td class="number" data-label="At the false rejects">
<span>{{ row.false_rejects[0] }}<small>{{ row.false_rejects[1] }}</small></span></td>
<td class="number" data-label="With reviewers"><span>{{ row.band[0] }}<small>{{ row.band[1] }}</small></span></td></tr>
{% endfor %}
</tbody></table>
<h3>What the rules do</h3>
<p>The filter as configured{% if tuning.reference %} and, in the last column, the reference{% endif %}, counted on all
labelled images. Where thresholds were chosen on these labels, the figures flatter.</p>
<table class="stack" aria-label="Rules on labelled images">
<thead><tr><th scope="col">Label</th>
<th scope="col" class="number">Dropped</th><th scope="col" class="number">Waiting for a reviewer</th>
<th scope="col" class="number">Kept</th>
{% if tuning.reference %}<th scope="col" class="number">Dropped by the reference</th>{% endif %}</tr></thead>
<tbody>
{% for row in tuning.counts %}
<tr><th scope="row">{{ row.label }}: {{ row.images | count }}
{% if row.group %}<small>{{ row.group }}</small>{% endif %}</th>
<td class="number" data-label="Dropped"><span>{{ row.dropped[0] }}<small>{{ row.dropped[1] }}</small></span></td>
<td class="number" data-label="Waiting"><span>{{ row.in_review[0] }}<small>{{ row.in_review[1] }}</small></span></td>
<td class="number" data-label="Kept"><span>{{ row.kept[0] }}<small>{{ row.kept[1] }}</small></span></td>
{% if tuning.reference %}<td class="number" data-label="By the reference">
<span>{{ row.reference[0] }}<small>{{ row.reference[1] }}</small></span></td>{% endif %}</tr>
{% endfor %}
</tbody></table>
</section>
{% endif %}
"""
