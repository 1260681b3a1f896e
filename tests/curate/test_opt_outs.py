"""What counts as an opt-out, and what `download` does about it."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from multidict import CIMultiDict

from scripts.curate.opt_outs import (
    header_refusal,
    interval_of,
    parse_robots,
    parse_tdm_reservations,
    product_token,
    tag_refusal,
)
from scripts.curate.settings import HttpStore
from tests.curate.download_run import Run, candidates, yfcc
from tests.curate.photo_server import PhotoServer

ALL = ("robots_txt", "x_robots_tag", "tdm_reservation")


@pytest.mark.parametrize(
    ("user_agent", "token"),
    [("unpeopled/0.1 (research)", "unpeopled"), ("Own-Bot we@example.org", "own-bot"), ("x", "x")],
)
def test_product_token(user_agent: str, token: str) -> None:
    assert product_token(user_agent) == token


@pytest.mark.parametrize(
    ("values", "word"),
    [
        (["noai"], "noai"),
        (["index, NoImageAI"], "noimageai"),
        (["noml"], "noml"),
        (["none"], "none"),
        (["noindex"], "noindex"),
        (["noimageindex"], "noimageindex"),
        (["unpeopled: noai"], "noai"),
        (["UnPeopled:noai"], "noai"),
        (["*: noai"], "noai"),
        (["otherbot: noai"], ""),
        (["otherbot: nofollow, noai"], ""),  # all words up to the next name are for otherbot
        (["otherbot: nofollow, unpeopled: noai"], "noai"),
        (["otherbot: noai", "noai"], "noai"),  # a second header speaks to all again
        (["max-image-preview: none, unavailable_after: 25 Jun 2030 15:00:00 PST"], ""),
        (["unavailable_after: Tue, 25 Jun 2030 15:00:00 PST, noai"], "noai"),
        (["all", "nofollow", "noarchive", "nosnippet", "noaitraining", ""], ""),
    ],
)
def test_words_of_x_robots_tag(values: list[str], word: str) -> None:
    assert tag_refusal(values, "unpeopled") == word


def test_headers_are_obeyed_as_the_config_says() -> None:
    headers = CIMultiDict([("x-robots-tag", "noai"), ("TDM-Reservation", "1")])
    refused = header_refusal(headers, ALL, "unpeopled")
    assert refused == ("opted_out_ai", "X-Robots-Tag: noai")
    assert header_refusal(headers, ("tdm_reservation",), "unpeopled") == ("opted_out_tdm", "tdm-reservation: 1")
    assert header_refusal(headers, ("robots_txt",), "unpeopled") is None
    assert header_refusal(CIMultiDict([("tdm-reservation", "0")]), ALL, "unpeopled") is None


@pytest.mark.parametrize(
    ("text", "path", "allowed"),
    [
        ("", "/a.jpg", True),
        ("User-agent: *\nDisallow: /", "/a.jpg", False),
        ("User-agent: *\nDisallow:", "/a.jpg", True),
        ("User-agent: *\nDisallow: /\nUser-agent: Unpeopled\nDisallow: /private/", "/a.jpg", True),
        ("User-agent: *\nDisallow: /\nUser-agent: Unpeopled\nDisallow: /private/", "/private/a.jpg", False),
        ("User-agent: *\nUser-agent: otherbot\nDisallow: /", "/a.jpg", False),
        ("User-agent: otherbot\nUser-agent: *\nDisallow: /", "/a.jpg", False),
        ("User-agent: otherbot\nDisallow: /", "/a.jpg", True),
        ("user-agent:unpeopled # us\ndisallow:/data/images", "/data/images/a.jpg", False),
        ("User-agent: *\nDisallow: /\nAllow: /data/", "/data/a.jpg", True),  # the longest counts
        ("User-agent: *\nDisallow: /*.jpg$", "/data/a.jpg", False),
        ("User-agent: *\nDisallow: /*.jpg$", "/data/a.jpg?x=1", True),
        ("User-agent: *\nDisallow: /a%2Fb", "/a/b", True),
        ("\ufeffUser-agent: *\r\nDisallow: /\r\n", "/a.jpg", False),
        ("<html>not a robots.txt</html>", "/a.jpg", True),
    ],
)
def test_robots_txt(text: str, path: str, allowed: bool) -> None:
    assert parse_robots(text.encode(), "unpeopled").can_fetch(f"http://host{path}", "unpeopled") is allowed


def test_a_huge_robots_txt_is_read_to_the_limit() -> None:
    """30,000 names with 30,000 rules would be 900 million rules in the parser."""
    names = "".join(f"User-agent: b{index}\n" for index in range(30_000))
    rules = "".join(f"Allow: /{index}\n" for index in range(30_000))
    robots = parse_robots((names + rules).encode(), "unpeopled")
    assert robots.can_fetch("http://host/1", "unpeopled")
    filler = b"#" * (600 * 1024) + b"\nUser-agent: *\nDisallow: /\n"
    assert parse_robots(filler, "unpeopled").can_fetch("http://host/1", "unpeopled")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("User-agent: *\nCrawl-delay: 2.5", 2.5),
        ("User-agent: *\nCrawl-delay: 9\nUser-agent: unpeopled\nDisallow: /x", 0.0),
        ("User-agent: *\nRequest-rate: 1/10", 10.0),
        ("User-agent: *\nCrawl-delay: nan", 0.0),
        ("User-agent: *\nCrawl-delay: -1", 0.0),
    ],
)
def test_crawl_delay(text: str, seconds: float) -> None:
    assert interval_of(parse_robots(text.encode(), "unpeopled"), "unpeopled") == seconds


def test_tdmrep_json() -> None:
    entries = [
        {"location": "/", "tdm-reservation": 0},
        {"location": "/closed/", "tdm-reservation": 1, "tdm-policy": "https://host/policy.json"},
        {"location": "/*.png", "tdm-reservation": "1"},
        {"location": 5, "tdm-reservation": 1},
        "nonsense",
    ]
    rules = parse_tdm_reservations(json.dumps(entries).encode())
    assert rules is not None
    found = {path: rules.can_fetch(f"http://host{path}", "x") for path in ("/a.jpg", "/closed/a.jpg", "/b/a.png")}
    assert found == {"/a.jpg": True, "/closed/a.jpg": False, "/b/a.png": False}


@pytest.mark.parametrize("content", [b"", b"<html>", b"{}", b"[]", b"[" * 100_000, b"\xff\xfe", b"null"])
def test_a_tdmrep_json_that_says_nothing(content: bytes) -> None:
    assert parse_tdm_reservations(content) is None


def test_an_opt_out_is_an_answer_and_no_other_store_is_asked(server: PhotoServer, run: Run, tmp_path: Path) -> None:
    server.rules["/robots.txt"] = b"User-agent: unpeopled\nDisallow: /closed\nDisallow: /photo-away"
    server.rules["/.well-known/tdmrep.json"] = b'[{"location": "/reserved", "tdm-reservation": 1}]'
    names = ["closed-1", "reserved-1", "noai", "noml", "tdm", "missing", "otherbot", "photo-1"]
    images = [(name, f"{server.base}/photo-second-{name}") for name in names]
    source = yfcc(HttpStore(url=server.base + "/{key}"), HttpStore(url="{download_url}"))
    rows = run([candidates(tmp_path / "c.parquet", images)], source)
    assert {row["image_id"]: (row["reason"], row["detail"]) for row in rows} == {
        "closed-1": ("robots_disallowed", "robots.txt"),
        "reserved-1": ("opted_out_tdm", "tdmrep.json"),
        "noai": ("opted_out_ai", "X-Robots-Tag: noimageai"),
        "noml": ("opted_out_ai", "X-Robots-Tag: noml"),
        "tdm": ("opted_out_tdm", "tdm-reservation: 1"),
        "missing": ("", ""),  # not found is no opt-out: the next store had it
        "otherbot": ("", ""),
        "photo-1": ("", ""),
    }
    asked = [path for path, _ in server.requests]
    assert [path for path in asked if path.startswith("/photo-second")] == ["/photo-second-missing"]
    assert "/closed-1" not in asked
    assert "/reserved-1" not in asked
    assert asked.count("/robots.txt") == asked.count("/.well-known/tdmrep.json") == 1


def test_the_target_of_a_redirect_is_asked_for_its_rules(server: PhotoServer, run: Run, tmp_path: Path) -> None:
    server.rules["/robots.txt"] = b"User-agent: *\nDisallow: /photo"
    table = candidates(tmp_path / "c.parquet", [("moved", f"{server.base}/moved")])
    (row,) = run([table], yfcc(HttpStore(url="{download_url}")))
    assert (row["reason"], row["address"]) == ("robots_disallowed", f"{server.base}/photo-moved")


def test_what_is_not_in_the_config_is_not_obeyed(server: PhotoServer, run: Run, tmp_path: Path) -> None:
    server.rules["/robots.txt"] = b"User-agent: *\nDisallow: /"
    images = [(name, f"{server.base}/{name}") for name in ("noai", "photo", "tdm")]
    rows = run([candidates(tmp_path / "c.parquet", images)], yfcc(HttpStore(url="{download_url}")), obey=())
    assert [row["reason"] for row in rows] == ["", "", ""]
    assert {path for path, _ in server.requests} == {"/noai", "/photo", "/tdm"}


def test_crawl_delay_is_the_interval_between_requests(server: PhotoServer, run: Run, tmp_path: Path) -> None:
    server.rules["/robots.txt"] = b"User-agent: *\nCrawl-delay: 0.3"
    images = [(f"p{index}", f"{server.base}/photo-{index}") for index in range(4)]
    run([candidates(tmp_path / "c.parquet", images)], yfcc(HttpStore(url="{download_url}")))
    when = sorted(when for path, when in server.requests if path.startswith("/photo"))
    assert all(later - earlier >= 0.25 for earlier, later in pairwise(when))


def test_a_host_that_wants_to_be_asked_once_a_day_is_not_asked(server: PhotoServer, run: Run, tmp_path: Path) -> None:
    server.rules["/robots.txt"] = b"User-agent: *\nCrawl-delay: 86400"
    table = candidates(tmp_path / "c.parquet", [("p", f"{server.base}/photo")])
    (row,) = run([table], yfcc(HttpStore(url="{download_url}")))
    assert (row["reason"], row["detail"]) == (
        "robots_disallowed",
        "robots.txt asks for 86400 s between two requests",
    )
