"""Three downloads in ten go wrong, in every manner; servers go down; processes are killed. Every row has its reason."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from scripts.curate.settings import HttpStore
from scripts.lib.errors import UserError
from scripts.lib.tars import TarReader
from tests.conftest import ROOT
from tests.curate.download_run import Run, candidates, yfcc
from tests.curate.photo_server import PhotoServer, own_photo, photo_server

SOURCE = yfcc(HttpStore(url="{download_url}"))
OPEN, CLOSED = "http://photos.example.org", "http://closed.example.org"
ODD = {  # first word of the path → reason
    "missing": "not_found",
    "forbidden": "not_found",
    "gone": "not_found",
    "error": "download_failed",
    "reset": "download_failed",
    "drip": "download_failed",
    "loop": "download_failed",
    "teapot": "download_failed",
    "endless": "too_large",
    "announced": "too_large",
    "short": "incomplete",
    "empty": "incomplete",
    "tofile": "address_refused",
    "tolocal": "address_refused",
    "toprivate": "address_refused",
    "tometadata": "address_refused",
    "tointranet": "address_refused",
    "toprinter": "address_refused",
    "html": "not_an_image",
    "xml": "not_an_image",
    "json": "not_an_image",
    "gzip": "not_an_image",
    "placeholder": "placeholder",
    "noai": "opted_out_ai",
    "noml": "opted_out_ai",
    "tonoai": "opted_out_ai",
    "tdm": "opted_out_tdm",
    "robots": "robots_disallowed",
    # These go well in the end:
    "busy": "",
    "limited": "",
    "flaky": "",
    "otherbot": "",
}


def images(count: int, seed: int, kinds: list[str]) -> dict[str, tuple[str, str]]:
    """Return image id → (address, reason): 30 % of the kinds in turn, the rest photos, shuffled."""
    draws = random.Random(seed)
    words = [kinds[index % len(kinds)] for index in range(count * 3 // 10)]
    words += ["own"] * (count - len(words))
    draws.shuffle(words)
    return {
        f"i{index:05d}": (f"{CLOSED if word == 'robots' else OPEN}/{word}-{index}", ODD.get(word, ""))
        for index, word in enumerate(words)
    }


def check(rows: list[dict[str, Any]], wanted: dict[str, tuple[str, str]], tar: Path) -> None:
    """Every row has its reason, every photo its bytes."""
    assert {row["image_id"]: row["reason"] for row in rows} == {name: reason for name, (_, reason) in wanted.items()}
    with TarReader(tar) as reader:
        for row in rows:
            if row["reason"] == "":
                content = reader.read(row["offset"], row["size"])
                assert content == own_photo("/" + wanted[row["image_id"]][0].rsplit("/", 1)[1])
                assert hashlib.sha256(content).hexdigest() == row["sha256"]


@pytest.mark.parametrize("count", [110, pytest.param(2000, marks=pytest.mark.slow)])
def test_three_in_ten_go_wrong_in_every_manner(
    count: int, server: PhotoServer, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Private addresses are refused, so the server is reached as a proxy that plays the internet."""
    monkeypatch.setenv("HTTP_PROXY", server.base)
    monkeypatch.delenv("http_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", "")
    server.rules["closed.example.org/robots.txt"] = b"User-agent: *\nDisallow: /"
    wanted = images(count, 0, list(ODD))
    assert {reason for _, reason in wanted.values()} == {*ODD.values()}
    table = candidates(tmp_path / "c.parquet", [(name, url) for name, (url, _) in wanted.items()])
    rows = run([table], SOURCE, allow_private_addresses=False, timeout_seconds=3.0, connections=16)
    check(rows, wanted, run.tar)
    assert not [path for path, _ in server.requests if path.startswith(("/robots-", "/photo-within"))]


def start(flags: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "scripts.curate.download", *flags], cwd=ROOT, stderr=subprocess.PIPE)


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


QUICK = [kind for kind in ODD if kind not in ("drip", "busy", "endless", "robots") and not kind.startswith("to")]


@pytest.mark.parametrize(("count", "kills"), [(120, 3), pytest.param(1000, 20, marks=pytest.mark.slow)])
def test_killed_at_any_moment_it_ends_with_the_same_bytes(
    count: int, kills: int, server: PhotoServer, tmp_path: Path
) -> None:
    draws = random.Random(kills)
    wanted = images(count, 1, QUICK)
    table = candidates(
        tmp_path / "c.parquet", [(name, url.replace(OPEN, server.base)) for name, (url, _) in wanted.items()]
    )
    undisturbed = Run(tmp_path / "undisturbed")
    assert start(undisturbed.flags([table], SOURCE, max_failed_share=0.9)).wait(300) == 0

    killed = Run(tmp_path / "killed")
    flags = killed.flags([table], SOURCE, max_failed_share=0.9)
    journal = killed.tar.with_name("0.tar.spool") / "journal"
    server.requests.clear()  # the photos that fail once fail once again
    died = 0
    for attempt in range(2 * kills):
        if died == kills:
            break
        process = start(flags)
        goal = lines(journal) + draws.randint(1, max(2, count // kills))
        if attempt % 5 == 0:
            time.sleep(draws.uniform(0.0, 1.0))  # while it starts, or in its first steps
        elif died < kills * 3 // 4:
            while process.poll() is None and lines(journal) < goal:
                time.sleep(0.001)
        else:
            left = set(killed.tar.parent.glob(".0.tar.*.part"))
            while process.poll() is None and not set(killed.tar.parent.glob(".0.tar.*.part")) - left:
                time.sleep(0.0005)  # until it writes the tar
        process.send_signal(signal.SIGKILL)
        died += process.wait(60) == -signal.SIGKILL
    assert died == kills
    assert start(flags).wait(300) == 0
    assert killed.tar.read_bytes() == undisturbed.tar.read_bytes()
    assert killed.status.read_bytes() == undisturbed.status.read_bytes()
    assert sorted(path.name for path in killed.tar.parent.iterdir()) == ["0.parquet", "0.tar"]


def test_a_server_that_goes_down_stops_the_job_and_the_next_run_goes_on(
    server: PhotoServer, run: Run, tmp_path: Path
) -> None:
    wanted = {f"i{index:03d}": (f"{server.base}/own-{index}", "") for index in range(200)}
    table = candidates(tmp_path / "c.parquet", [(name, url) for name, (url, _) in wanted.items()])
    run_policy: dict[str, Any] = {"patience_seconds": 1.0, "max_failed_share": 0.1, "connections_per_host": 4}

    class Watch(list[tuple[str, float]]):
        def append(self, item: tuple[str, float]) -> None:
            super().append(item)
            server.down = sum(path.startswith("/own") for path, _ in self) > 60

    server.requests = Watch()
    with pytest.raises(UserError) as caught:
        run([table], SOURCE, **run_policy)
    text = str(caught.value)
    assert "of 200 photos of partition 0 could not be fetched" in text
    assert "gave no good answer for 1 s, the last was HTTP 503" in text
    assert "run again" in text
    assert not run.tar.exists()
    first = Counter(path for path, _ in server.requests)
    assert sum(first.values()) < 150  # not five tries for each of 140 photos: it was held back

    server.requests, server.down = [], False
    rows = run([table], SOURCE, **run_policy)
    check(rows, wanted, run.tar)
    second = Counter(path for path, _ in server.requests if path.startswith("/own"))
    assert len(second) < 150  # what had come was not asked for again
    assert max(second.values()) == 1


def test_a_short_outage_costs_a_handful_of_photos(server: PhotoServer, run: Run, tmp_path: Path) -> None:
    """Without the gate eight connections would go through all 200 photos within the outage."""
    server.down = True

    class Watch(list[tuple[str, float]]):
        def append(self, item: tuple[str, float]) -> None:
            super().append(item)
            server.down = len(self) < 24

    server.requests = Watch()
    table = candidates(
        tmp_path / "c.parquet", [(f"i{index:03d}", f"{server.base}/own-{index}") for index in range(200)]
    )
    rows = run([table], SOURCE, patience_seconds=60.0, obey=())
    lost = [row["reason"] for row in rows if row["reason"]]
    assert set(lost) <= {"download_failed"}
    assert len(lost) <= 8  # 24 answers, three tries for each photo


def test_rate_limits_cost_no_photo(run: Run, tmp_path: Path) -> None:
    """A server that answers 429 to all but one connection at a time: the client comes down to one."""
    with photo_server() as server:
        busy = {"now": 0}
        handler = server.RequestHandlerClass
        plain = handler._own  # type: ignore[attr-defined]

        class Limited(handler):  # type: ignore[valid-type, misc]
            def _own(self) -> None:
                busy["now"] += 1
                try:
                    if busy["now"] > 1:
                        self._send(b"", 429)
                    else:
                        time.sleep(0.005)
                        plain(self)
                finally:
                    busy["now"] -= 1

        server.RequestHandlerClass = Limited
        wanted = {f"i{index:03d}": (f"{server.base}/own-{index}", "") for index in range(60)}
        table = candidates(tmp_path / "c.parquet", [(name, url) for name, (url, _) in wanted.items()])
        rows = run([table], SOURCE, retries=6, backoff_seconds=0.02, max_failed_share=1.0)
    check(rows, wanted, run.tar)


def test_a_server_that_refuses_everybody_is_no_result(server: PhotoServer, run: Run, tmp_path: Path) -> None:
    table = candidates(
        tmp_path / "c.parquet", [(f"i{index}", f"{server.base}/forbidden-{index}") for index in range(100)]
    )
    with pytest.raises(UserError, match=r"not one of the 100 photos .* came \(not_found 100\).*\.spool"):
        run([table], SOURCE)
    assert not run.tar.exists()
    # Opt-outs are a result, even when they are everything.
    server.rules["/robots.txt"] = b"User-agent: *\nDisallow: /"
    other = Run(tmp_path / "other")
    assert {row["reason"] for row in other([table], SOURCE)} == {"robots_disallowed"}
