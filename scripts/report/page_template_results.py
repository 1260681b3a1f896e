"""The second half of the page's markup: training, results, limits. Same rules as `page_template`."""

from __future__ import annotations

TRAINING = """
<section id="training">
<h2>Training</h2>
{% for run in runs %}
<h3>{{ run.name }}</h3>
<p class="small muted">{{ run.method }}, {{ run.encoder }}, {{ run.epochs }} epochs. Cost: {{ run.cost }}.
Expected: {{ run.expected }}.</p>
{% if run.drawing %}
<figure>{{ run.drawing.markup | safe }}<figcaption>{{ run.drawing.description }}</figcaption></figure>
{% else %}<p>No curve of this run was drawn.</p>{% endif %}
{% if run.findings %}
<ul class="findings">
{% for finding in run.findings %}
<li><span class="{{ "tick" if finding.level == "good" else "tag" }}">{{ finding.title }}</span>
<span>{{ finding.text }}{% if finding.advice %}<small>{{ finding.advice }}</small>{% endif %}</span></li>
{% endfor %}
</ul>
{% endif %}
{% if run.views %}
<details class="sheet"><summary>What the network sees <span>views of the first batch</span></summary>
<figure style="--natural: {{ run.views.width }}px"><div class="wide" role="group" tabindex="0"
aria-label="Views, scrolls sideways">
<img alt="{{ run.views.description }}" width="{{ run.views.width }}" height="{{ run.views.height }}"
src="data:image/png;base64,{{ run.views.data | safe }}"></div></figure></details>
{% endif %}
{% else %}<p>No run was configured, so nothing was trained.</p>
{% endfor %}
{% if runs %}<p class="small muted">The dashed line across the loss is that of an encoder that gives every image the
same features; the one across the accuracy is the encoder before its first step. Nearest neighbours while it trains are
of the train split of the labelled set, each image left out in turn, so the figure is not that of the results below. A
low loss alone does not prove good features; the results do, or do not.</p>{% endif %}
</section>
"""

RESULTS = """
{% macro result_rows(rows) %}
{% for row in rows %}
<tr><th scope="row" class="plain">{{ row.protocol }}, {{ row.metric }}</th>
<td class="number" data-label="Value"><strong>{{ row.value }}</strong></td>
<td class="number muted" data-label="Spread">{{ row.spread }}</td>
<td class="number" data-label="Untrained">{{ row.twin }}</td>
<td class="number" data-label="Difference">{{ row.difference }}</td>
<td class="number" data-label="Chance">{{ row.chance }}</td>
<td class="number" data-label="Images">{{ row.images | count }}</td></tr>
{% endfor %}
{% endmacro %}
{% macro result_table(groups, part, name) %}
<table class="stack" aria-label="{{ name }}">
<thead><tr><th scope="col">Protocol and metric</th><th scope="col" class="number">Value</th>
<th scope="col" class="number">Spread</th>
<th scope="col" class="number">Untrained</th><th scope="col" class="number">Difference</th>
<th scope="col" class="number">Chance</th><th scope="col" class="number">Images</th></tr></thead>
{% for group in groups if group[part] %}
<tbody>
<tr class="group"><th scope="rowgroup" colspan="7">{{ group.run }} <span>on {{ group.task }}{% if group.origin %}; not
trained here: {{ group.origin }}{% endif %}</span></th></tr>
{{ result_rows(group[part]) }}
</tbody>
{% endfor %}
</table>
{% endmacro %}
<section id="results">
<h2>Results</h2>
{% if scores %}
<p>Frozen encoders on labelled images, and fine-tuned ones where the protocol is a recipe of
<code>evaluate.finetuned</code>. <em>Untrained</em> is the same network before its first step (or freshly
initialised, for an encoder that was not trained here), <em>chance</em>
the answer that needs no picture: always the most frequent class. Values are per cent of the
test images, differences points; the effective rank is a number of directions, of the train images.</p>
<p>A task is reported by the figure that the field reports of it:
{{ figures }}.</p>
{{ result_table(scores, "rows", "Results") }}
{% if other_metrics %}
<details><summary>Other metrics of the same answers <span>({{ other_metrics }})</span></summary>
{{ result_table(scores, "others", "Other metrics") }}
</details>
{% endif %}
<p class="small muted">Spread is the standard deviation over the seeds, draws or episodes of the protocol, not over
repeated pretraining.
Rows without it rest on one fit, or draw nothing at random.</p>
{% else %}<p>No encoder was evaluated.</p>{% endif %}
{% if maps %}
<h3>What lies near what</h3>
<p>Test images laid out by their features (principal components, then t-SNE), the labels unseen. Near neighbours mean
something; distances between groups and sizes of groups do not. The same places as pictures and as points.</p>
{% for map in maps %}
<details{% if loop.first %} open{% endif %} class="sheet">
<summary>{{ map.name }} <span>{{ map.description }}</span></summary>
<figure style="--natural: {{ map.width }}px"><div class="wide" role="group" tabindex="0"
aria-label="{{ map.name }}, scrolls sideways">
<img alt="{{ map.name }}: {{ map.description }}" width="{{ map.width }}" height="{{ map.height }}"
src="data:image/png;base64,{{ map.data | safe }}"></div></figure></details>
{% endfor %}
{% endif %}
</section>
"""

PUBLISHED = """
<section id="published">
<h2>Published figures</h2>
<p>{{ protocol_note }}</p>
<div class="wide" role="group" tabindex="0" aria-label="Published figures, scrolls sideways">
<table aria-label="Published figures">
<thead><tr><th scope="col">Pretrained on</th><th scope="col">Method</th><th scope="col">Encoder</th>
<th scope="col" class="number">Epochs</th><th scope="col" class="number">ImageNet-1k</th>
<th scope="col" class="number">ours</th>
{% if published_weights %}<th scope="col" class="number">their weights here</th>{% endif %}
<th scope="col" class="number">Places205</th><th scope="col" class="number">ours</th>
{% if published_weights %}<th scope="col" class="number">their weights here</th>{% endif %}</tr></thead>
<tbody>
{% for row in published %}
<tr><td>{{ row.data }}{% if row.note %}<small>{{ row.note }}</small>{% endif %}</td><td>{{ row.method }}</td>
<td>{{ row.encoder }}</td><td class="number">{{ row.epochs }}</td><td class="number">{{ row.imagenet }}</td>
<td class="number">{{ row.own_imagenet }}</td>
{% if published_weights %}<td class="number">{{ row.their_imagenet }}</td>{% endif %}
<td class="number">{{ row.places }}</td><td class="number">{{ row.own_places }}</td>
{% if published_weights %}<td class="number">{{ row.their_places }}</td>{% endif %}</tr>
{% endfor %}
</tbody></table></div>
<p class="small muted">Linear probe, top-1 in per cent. Source: {{ published_source }}. {{ imagenet_note }}</p>
</section>
"""

LIMITS = """
<section id="limits">
<h2>What was not run, and what this page does not show</h2>
<ul>
{% for limit in limits %}
<li>{{ limit }}</li>
{% endfor %}
</ul>
</section>
<section id="trace">
<h2>Tracing a number</h2>
<p>Every number on this page is in a table or follows from one. Paths are relative to the folder of the run; the log
of each step has the same path under <code>logs/</code> and ends in <code>.log</code>.</p>
<table class="stack" aria-label="Where numbers come from">
<thead><tr><th scope="col">On this page</th><th scope="col">Comes from</th></tr></thead>
<tbody>
{% for topic, path in traces %}
<tr><th scope="row">{{ topic }}</th><td><code>{{ path }}</code></td></tr>
{% endfor %}
</tbody></table>
</section>
</main>
<footer>Written by unpeopled. The page holds no script and loads nothing; it reads the same without a network.</footer>
</body>
</html>
"""
