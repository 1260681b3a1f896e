"""What a server says against being copied, or against machines that learn from what it shows. All of it is obeyed.

robots.txt (RFC 9309), the header X-Robots-Tag, and the TDM reservation protocol (header `tdm-reservation` and the file
/.well-known/tdmrep.json). docs/decisions.md#42 says which words count and why. These functions only read; asking the
servers is `host_rules.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from protego import Protego

from scripts.curate.settings import OptOut
from scripts.lib.reasons import DownloadReason

MAX_RULES_BYTES = 500 * 1024  # RFC 9309, 2.5: at least so much must be read; the rest is not
MAX_INTERVAL = 600.0  # seconds; a host that wants longer pauses between two requests is taken at its word: not at all

# `noindex` and its kin are what sites said before there were words for learning machines; a dataset is an index, too.
_NO = frozenset({"noai", "noimageai", "noml", "none", "noindex", "noimageindex"})
_AGENT = re.compile(r"\s*([A-Za-z][A-Za-z0-9_-]*|\*)\s*:(.*)", re.DOTALL)
_WITH_VALUE = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
_USER_AGENT_LINE = re.compile(r"^\s*user[-\s]*agent[\s:]\s*([^#\n]*)", re.IGNORECASE)


def product_token(user_agent: str) -> str:
    """Return the name by which robots.txt knows us: the user agent's text before the first `/` or blank, lower case."""
    return re.split(r"[/\s]", user_agent, maxsplit=1)[0].lower()


def header_refusal(headers: Any, obey: Iterable[OptOut], token: str) -> tuple[DownloadReason, str] | None:
    """Return reason and detail when an answer's headers opt out, None when they do not.

    Args:
        headers: multi-mapping with `getall(name, default)`; a header may come several times.
        obey: the opt-outs that the config obeys.
        token: our product token.
    """
    if "x_robots_tag" in obey and (found := tag_refusal(headers.getall("X-Robots-Tag", ()), token)):
        return DownloadReason.OPTED_OUT_AI, f"X-Robots-Tag: {found}"
    if "tdm_reservation" in obey and any(text.strip() == "1" for text in headers.getall("tdm-reservation", ())):
        return DownloadReason.OPTED_OUT_TDM, "tdm-reservation: 1"
    return None


def tag_refusal(values: Iterable[str], token: str) -> str:
    """Return the first word of X-Robots-Tag headers that refuses us, "" when none does.

    `noai, noimageai` speaks to all; in `otherbot: noai, noindex` all words up to the next name speak to `otherbot`.
    """
    for value in values:
        speaks_to_us = True
        for piece in value.split(","):
            named = _AGENT.fullmatch(piece)
            if named and named[1].lower() in _WITH_VALUE:
                continue
            if named:
                speaks_to_us = named[1].lower() in (token, "*")
                piece = named[2]  # noqa: PLW2901 (the word after the name)
            word = piece.strip().lower()
            if speaks_to_us and word in _NO:
                return word
    return ""


def parse_robots(content: bytes, token: str) -> Protego:
    """Return the rules of a robots.txt. Groups of other robots are not kept: 30,000 of them would be an attack."""
    lines = []
    for line in content[:MAX_RULES_BYTES].decode("utf-8", errors="replace").removeprefix("\ufeff").splitlines():
        agent = _USER_AGENT_LINE.match(line)
        ours = agent is None or agent[1].strip().lower() in ("*", token)
        lines.append(line if ours else "User-agent: somebody-else")
    return Protego.parse("\n".join(lines))


def parse_tdm_reservations(content: bytes) -> Protego | None:
    """Return the reservations of a tdmrep.json as rules, None when it holds none that can be read.

    Its locations have robots.txt's `*` and `$`, and the longest that matches counts, so the rules are kept as those.
    """
    try:
        entries = json.loads(content)
    except (ValueError, RecursionError):
        return None
    lines = ["User-agent: *"]
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, Mapping) and isinstance(entry.get("location"), str):
            reserved = str(entry.get("tdm-reservation")) == "1"
            place = "".join(entry["location"].split()).replace("#", "%23")
            lines.append(f"{'Disallow' if reserved else 'Allow'}: {place}")
    return Protego.parse("\n".join(lines)) if len(lines) > 1 else None


def interval_of(robots: Protego, token: str) -> float:
    """Return the seconds that must lie between the starts of two requests, 0 when robots.txt asks for none."""
    rate = robots.request_rate(token)
    return max(robots.crawl_delay(token) or 0.0, rate.seconds / rate.requests if rate else 0.0)
