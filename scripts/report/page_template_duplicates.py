"""The page's section on duplicates. Every value is escaped by the template engine."""

from __future__ import annotations

DUPLICATES = """
<section id="duplicates">
<h2>Near duplicates</h2>
{% if duplicates.clusters %}
<p><strong>{{ duplicates.clusters | count }}</strong> clusters: one image of each can be kept, the largest in pixels. Of
the others, <strong>{{ duplicates.exact | count }}</strong> have the same bytes and
<strong>{{ duplicates.near | count }}</strong> look the same
{% if duplicates.near %}({{ duplicates.mirrored | count }} mirrored, {{ duplicates.turned | count }} turned; by bits of
64 in which the perceptual hashes differ: {{ duplicate_bits }}){% endif %}. The largest cluster has
{{ duplicates.largest | count }} images.</p>
{% if duplicate_sheets %}
<p class="small muted">The best image of a cluster stands first, a band joins its copies to it. Each copy looks like the
best image itself, not merely like another copy. Frames of a series are other pictures and stay. All clusters, one by
one: <code>results/report/draw_duplicates/clusters.csv</code>.</p>
{% endif %}
{% for sheet in duplicate_sheets %}
<details open class="sheet"><summary>{{ sheet.name }} <span>{{ sheet.description }}</span></summary>
<figure style="--natural: {{ sheet.width }}px"><div class="wide" role="group" tabindex="0"
aria-label="{{ sheet.name }}, scrolls sideways">
<img alt="near duplicates, {{ sheet.name }}: {{ sheet.description }}" width="{{ sheet.width }}"
height="{{ sheet.height }}"
src="data:image/png;base64,{{ sheet.data | safe }}"></div></figure></details>
{% endfor %}
{% else %}
<p>No two images have the same bytes or look the same.</p>
{% endif %}
</section>
"""
