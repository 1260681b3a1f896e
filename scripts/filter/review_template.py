"""The markup of a page for reviewers. Every value is escaped by the template engine or set by the script as text."""

from __future__ import annotations

from scripts.lib.html_page import PAGE_START

HEAD = (
    PAGE_START
    + """<meta name="robots" content="noindex">
<title>{{ heading }}: {{ title }}</title>
<style>{{ css | safe }}</style>
</head>
<body>
"""
)

EMPTY = """
<main class="nothing">
<h1><bdi>{{ title }}</bdi></h1>
<p class="muted">{{ heading }}</p>
<p>{{ nothing }}</p>
</main>
</body>
</html>
"""

BODY = """
<header>
<div class="head"><h1><bdi>{{ title }}</bdi></h1><p>{{ heading }}</p></div>
<div class="progress" role="status"><strong id="progress"></strong> <span id="counts"></span>
<progress id="meter" value="0" max="1" aria-label="decided"></progress></div>
<div class="tools">
<button type="button" id="view">Grid <kbd>G</kbd></button>
<button type="button" id="boxes" aria-pressed="false">Boxes <kbd>B</kbd></button>
<button type="button" id="export">Export CSV<span id="unsaved"></span> <kbd>E</kbd></button>
<button type="button" id="who">Your name</button>
<button type="button" id="help">Keys <kbd>?</kbd></button>
</div>
</header>
<noscript><p class="line">This page needs its script, which comes with it and loads nothing.</p></noscript>
<p class="line" id="warning" role="alert" hidden>This browser does not keep what you decide. Export the CSV before you
close the page.</p>
<p class="line" id="notice" role="status" hidden></p>
<details id="guide">
<summary><strong>{{ words.drop }}</strong>, also when in doubt: {{ drop[0] }}</summary>
<div class="lists">
<div><h2>{{ words.drop }}</h2><ul>
{% for text in drop %}
<li>{{ text }}</li>
{% endfor %}
</ul></div>
{% if keep %}
<div><h2>{{ words.keep }}</h2><ul>
{% for text in keep %}
<li>{{ text }}</li>
{% endfor %}
</ul></div>
{% endif %}
</div>
</details>
<main>
<section id="single" aria-label="One image">
<div id="stage"><div class="frame" id="frame"><img id="picture" alt="image"><div class="overlay" id="overlay"></div>
</div>
<p id="note"></p><span id="decided" class="badge" hidden></span></div>
<div id="caption"><div id="number"></div>
<div><bdi id="title"></bdi> <span class="muted">by</span> <bdi id="creator"></bdi></div>
<div class="muted"><span id="why"></span> <span id="image_id"></span></div></div>
</section>
<section id="grid" aria-label="All images" hidden></section>
</main>
<footer>
<button type="button" id="previous">← <span>Back</span></button>
<button type="button" id="keep">{{ words.keep }} <kbd>K</kbd></button>
<button type="button" id="drop">{{ words.drop }} <kbd>D</kbd></button>
<button type="button" id="undo">Undo <kbd>U</kbd></button>
<button type="button" id="next"><span>Next</span> →</button>
</footer>
<dialog id="ask" aria-labelledby="ask_title">
<h2 id="ask_title">Who is looking?</h2>
<p>Your name stands beside each verdict in the CSV, because a verdict needs somebody who answers for it. It is asked
once, and stays in this browser and in the CSV that you export.</p>
<input id="name" type="text" maxlength="80" autocomplete="name" aria-label="Your name">
<button type="button" id="ready">Begin</button>
</dialog>
<dialog id="keys" aria-labelledby="keys_title">
<h2 id="keys_title">Keys</h2>
<table aria-labelledby="keys_title"><tbody>
{% for key, meaning in keys %}
<tr><th scope="row"><kbd>{{ key }}</kbd></th><td>{{ meaning }}</td></tr>
{% endfor %}
</tbody></table>
<button type="button" id="close">Close</button>
</dialog>
<script type="application/json" id="data">{{ data | safe }}</script>
<script>{{ script | safe }}</script>
</body>
</html>
"""

KEYS = (
    ("K", "{keep}, and on to the next undecided image"),
    ("D", "{drop}, and on to the next undecided image"),
    ("U", "undo the last decision (also Backspace, Ctrl+Z)"),
    ("← →", "back and forth (also P, N); ↑ ↓ by rows in the grid"),
    ("Space", "to the next undecided image"),
    ("Z", "zoom: 1, 2, 4 times (also a click on the picture)"),
    ("G", "grid or one by one; Enter opens the image of the grid"),
    ("B", "boxes of the detectors, with their scores"),
    ("E", "export the CSV"),
    ("?", "this list"),
)

LIST = (
    HEAD.replace("{{ heading }}: ", "Review: ")
    + """
<main>
<h1><bdi>{{ title }}</bdi></h1>
<p>Open a page, decide by keyboard, export its CSV. Each page works offline and keeps its state in the browser.
The pages show people, unblurred, who are to be left out: do not pass them on.</p>
<h2>Review</h2>
{% if reviews.links %}
<p>{{ reviews.images }} images wait for a verdict. Put the exported files into one folder and name it in
<code>filter.human_verdicts</code> of the configuration; the next run obeys them.</p>
<ul>
{% for address, name, images in reviews.links %}
<li><a href="{{ address }}">Page {{ name }}</a> <span class="muted">{{ images }} images</span></li>
{% endfor %}
</ul>
{% if reviews.left %}
<p>{{ reviews.left }} more images fit on no page. They come when the verdicts on these are there.</p>
{% endif %}
{% else %}
<p class="muted">No image waits for a reviewer.</p>
{% endif %}
<h2>Audit</h2>
{% if audits.links %}
<p>{{ audits.images }} kept images were drawn by lot. Say of each whether it shows a person; name the exported files in
<code>filter.audit.verdicts</code>. The leak rate is theirs, and images found to show a person are dropped.</p>
<ul>
{% for address, name, images in audits.links %}
<li><a href="{{ address }}">Page {{ name }}</a> <span class="muted">{{ images }} images</span></li>
{% endfor %}
</ul>
{% else %}
<p class="muted">No audit is configured (<code>filter.audit</code>).</p>
{% endif %}
</main>
</body>
</html>
"""
)
