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
<table class="stack">
<thead><tr><th scope="col">Scores of</th><th scope="col" class="number">Area under the curve</th>
<th scope="col" class="number">For recall {{ tuning.wanted }}: recall, false rejects</th>
<th scope="col" class="number">For false rejects {{ tuning.allowed }}: recall, false rejects</th>
<th scope="col" class="number">Both, with reviewers: dropped or looked at of the people; looked at of the others</th>
</tr></thead>
<tbody>
{% for row in tuning.scorers %}
<tr><th scope="row">{{ row.name }}</th><td class="number" data-label="Area">{{ row.area }}</td>
<td class="number" data-label="For recall">{{ row.recall }}</td>
<td class="number" data-label="For false rejects">{{ row.false_rejects }}</td>
<td class="number" data-label="With reviewers">{{ row.band }}</td></tr>
{% endfor %}
</tbody></table>
<h3>What the rules do</h3>
<p>The filter as configured{% if tuning.reference %} and, in the last column, the reference{% endif %}, counted on all
labelled images. Where thresholds were chosen on these labels, the figures flatter.</p>
<table class="stack">
<thead><tr><th scope="col">Label</th><th scope="col" class="number">Images</th>
<th scope="col" class="number">Dropped</th><th scope="col" class="number">Waiting for a reviewer</th>
<th scope="col" class="number">Kept</th>
{% if tuning.reference %}<th scope="col" class="number">Dropped by the reference</th>{% endif %}</tr></thead>
<tbody>
{% for row in tuning.counts %}
<tr><th scope="row">{{ row.label }}{% if row.group %}<small>{{ row.group }}</small>{% endif %}</th>
<td class="number" data-label="Images">{{ row.images | count }}</td>
<td class="number" data-label="Dropped">{{ row.dropped }}</td>
<td class="number" data-label="Waiting">{{ row.in_review }}</td>
<td class="number" data-label="Kept">{{ row.kept }}</td>
{% if tuning.reference %}<td class="number" data-label="By the reference">{{ row.reference }}</td>{% endif %}</tr>
{% endfor %}
</tbody></table>
</section>
{% endif %}
"""
