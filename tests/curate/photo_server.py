"""A photo server in the test process, with every manner of answer that `download` must survive."""

from __future__ import annotations

import gzip
import io
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from PIL import Image


def jpeg(seed: int, side: int = 48) -> bytes:
    """Return a small JPEG with random pixels."""
    pixels = random.Random(seed).randbytes(side * side * 3)
    buffer = io.BytesIO()
    Image.frombytes("RGB", (side, side), pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


PHOTO = jpeg(0)
PLACEHOLDER = jpeg(99)
HTML = b"<html><head><title>Gone</title></head><body>" + b"x" * 5000 + b"</body></html>"


class PhotoServer(ThreadingHTTPServer):
    """Counts requests by path; `first` paths misbehave once and then give the photo."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, float]] = []
        self.rules: dict[str, bytes] = {}  # robots.txt and tdmrep.json, by path
        self.stopping = False

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def times(self, path: str) -> list[float]:
        return [when for asked, when in self.requests if asked == path]

    def handle_error(self, *_: object) -> None:
        """Clients that hang up are what this server is for."""


class _Handler(BaseHTTPRequestHandler):
    server: PhotoServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def _send(self, content: bytes, status: int = 200, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "image/jpeg")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        self.server.requests.append((self.path, time.monotonic()))
        if self.path in ("/robots.txt", "/.well-known/tdmrep.json"):
            content = self.server.rules.get(self.path)
            self._send(content or b"", 404 if content is None else 200)
            return
        name = self.path.strip("/")
        with suppress(BrokenPipeError, ConnectionResetError):
            getattr(self, f"_{name.split('-')[0].split('.')[0]}", self._photo)()

    def _photo(self) -> None:
        self._send(PHOTO)

    def _missing(self) -> None:
        self._send(b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>', 404)

    def _forbidden(self) -> None:
        self._send(b"", 403)

    def _html(self) -> None:
        self._send(HTML)

    def _json(self) -> None:
        self._send(b'{"error": "rate limit"}')

    def _error(self) -> None:
        self._send(b"", 500)

    def _placeholder(self) -> None:
        self._send(PLACEHOLDER)

    def _empty(self) -> None:
        self._send(b"")

    def _short(self) -> None:
        self._send(PHOTO[:500], length=len(PHOTO))
        self.close_connection = True

    def _gzip(self) -> None:
        self._send(gzip.compress(PHOTO), Content_Encoding="gzip")

    def _tofile(self) -> None:
        self._send(b"", 302, Location="file:///etc/passwd")

    def _moved(self) -> None:
        self._send(b"", 301, Location="/photo-moved")

    def _loop(self) -> None:
        self._send(b"", 302, Location="/loop")

    def _announced(self) -> None:
        self._send(b"\xff\xd8\xff", length=10**9)

    def _busy(self) -> None:
        if len(self.server.times(self.path)) == 1:
            self._send(b"", 503, Retry_After="1")
        else:
            self._photo()

    def _drip(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        for _ in range(100):
            if self.server.stopping:
                return
            self.wfile.write(b"\xff")
            self.wfile.flush()
            time.sleep(0.1)

    def _endless(self) -> None:
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        while not self.server.stopping:
            self.wfile.write(b"\xff\xd8\xff" + bytes(65_536))


@contextmanager
def photo_server() -> Iterator[PhotoServer]:
    """Run a server on a free port of 127.0.0.1."""
    with PhotoServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.stopping = True
            server.shutdown()
