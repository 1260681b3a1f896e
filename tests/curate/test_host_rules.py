"""RFC 9309: what a host's failure to show its robots.txt means."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from scripts.curate.settings import HttpStore
from tests.curate.download_run import Run, candidates, yfcc
from tests.curate.photo_server import PHOTO

CLOSED = b"User-agent: *\nDisallow: /"


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, manner: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.manner, self.paths = manner, list[str]()


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def send(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        manner = self.server.manner
        if self.path == "/photo":
            self.send(200, PHOTO)
        elif self.path == "/elsewhere":
            self.send(200, CLOSED)
        elif self.path != "/robots.txt":
            self.send(404)
        elif manner.isdigit():
            self.send(int(manner), CLOSED)
        elif manner == "moved":
            self.send(301, Location="/elsewhere")
        elif manner == "loop":
            self.send(301, Location="/robots.txt")
        elif manner == "astray":
            self.send(301, Location="file:///etc/passwd")
        elif manner == "gzip":
            self.send(200, gzip.compress(CLOSED), Content_Encoding="gzip")
        elif manner == "broken gzip":
            self.send(200, b"\x1f\x8bnonsense", Content_Encoding="gzip")
        elif manner == "first 503":
            self.send(503 if self.server.paths.count("/robots.txt") == 1 else 404)
        else:
            self.connection.close()
            self.close_connection = True


@contextmanager
def serve(manner: str) -> Iterator[Server]:
    with Server(manner) as running:
        running.handle_error = lambda *_: None  # type: ignore[method-assign]
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.shutdown()


@pytest.mark.parametrize(
    ("manner", "reason"),
    [
        ("200", "robots_disallowed"),
        ("404", ""),  # 2.3.1.3: unavailable, everything is allowed
        ("403", ""),
        ("401", ""),
        ("410", ""),
        ("500", "download_failed"),  # 2.3.1.4: unreachable, nothing is allowed for now
        ("503", "download_failed"),
        ("429", "download_failed"),  # a host that is overloaded has not said that it has none
        ("dead", "download_failed"),
        ("moved", "robots_disallowed"),  # 2.3.1.2: redirects are followed
        ("loop", ""),
        ("astray", ""),
        ("gzip", "robots_disallowed"),
        ("broken gzip", "download_failed"),
        ("first 503", ""),
    ],
)
def test_robots_txt_by_the_answer(manner: str, reason: str, run: Run, tmp_path: Path) -> None:
    with serve(manner) as server:
        base = f"http://127.0.0.1:{server.server_address[1]}"
        table = candidates(tmp_path / "c.parquet", [("a", f"{base}/photo")])
        (row,) = run([table], yfcc(HttpStore(url="{download_url}")), max_failed_share=1.0)
    assert row["reason"] == reason
    if reason:
        assert "robots.txt" in row["detail"]
        assert "/photo" not in server.paths
    assert server.paths.count("/robots.txt") <= 6
