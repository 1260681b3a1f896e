"""A photo server in the test process, with every manner of answer that `download` must survive."""

from __future__ import annotations

import gzip
import io
import random
import socket
import struct
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
    """Answers by the first word of a path (`/missing-7`), and remembers what was asked for.

    As a proxy (requests with a whole address) it plays every server of the internet.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, float]] = []
        self.hosts: list[str] = []  # of requests to a proxy
        self.rules: dict[str, bytes] = {}  # robots.txt and tdmrep.json, by path or by host and path
        self.down = False  # answer 503 to everything
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

    def do_CONNECT(self) -> None:
        self.server.hosts.append(self.path)
        self._send(b"", 403)

    def do_GET(self) -> None:
        host = ""
        if self.path.startswith("http://"):
            host, _, rest = self.path.removeprefix("http://").partition("/")
            self.path = f"/{rest}"
            self.server.hosts.append(host)
        self.server.requests.append((self.path, time.monotonic()))
        with suppress(BrokenPipeError, ConnectionResetError):
            if self.server.down:
                self._send(b"", 503)
            elif self.path in ("/robots.txt", "/.well-known/tdmrep.json"):
                content = self.server.rules.get(host + self.path)
                self._send(content or b"", 404 if content is None else 200)
            else:
                getattr(self, f"_{self.path.strip('/').split('-')[0].split('.')[0]}", self._photo)()

    def _photo(self) -> None:
        self._send(PHOTO)

    def _own(self) -> None:
        """A picture that no other path has."""
        self._send(own_photo(self.path))

    def _missing(self) -> None:
        # An error page's own tag says nothing about the photo.
        page = b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>'
        self._send(page, 404, X_Robots_Tag="noindex")

    def _forbidden(self) -> None:
        self._send(b"", 403)

    def _gone(self) -> None:
        self._send(b"", 410)

    def _html(self) -> None:
        self._send(HTML)

    def _xml(self) -> None:
        self._send(b'<?xml version="1.0"?><Error><Code>SlowDown</Code></Error>')

    def _json(self) -> None:
        self._send(b'{"error": "rate limit"}')

    def _error(self) -> None:
        self._send(b"", 500)

    def _teapot(self) -> None:
        self._send(b"", 418)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def _placeholder(self) -> None:
        self._send(PLACEHOLDER)

    def _empty(self) -> None:
        self._send(b"")

    def _short(self) -> None:
        self._send(PHOTO[:500], length=len(PHOTO))
        self.close_connection = True

    def _gzip(self) -> None:
        self._send(gzip.compress(PHOTO), Content_Encoding="gzip")

    def _noai(self) -> None:
        self._send(PHOTO, X_Robots_Tag="noimageai, noai")

    def _noml(self) -> None:
        self._send(PHOTO, X_Robots_Tag="unpeopled: noml")

    def _otherbot(self) -> None:
        self._send(own_photo(self.path), X_Robots_Tag="otherbot: noai, noindex")

    def _tdm(self) -> None:
        self._send(PHOTO, tdm_reservation="1")

    def _tofile(self) -> None:
        self._send(b"", 302, Location="file:///etc/passwd")

    def _tolocal(self) -> None:
        self._send(b"", 302, Location=f"{self.server.base}/photo-within")

    def _toprivate(self) -> None:
        self._send(b"", 302, Location="http://10.0.0.1/photo")

    def _tometadata(self) -> None:
        self._send(b"", 302, Location="http://169.254.169.254/latest/meta-data/")

    def _tointranet(self) -> None:
        self._send(b"", 302, Location="http://intranet/photo")

    def _toprinter(self) -> None:
        self._send(b"", 302, Location="http://printer.local/photo")

    def _tonoai(self) -> None:
        self._send(b"", 302, Location="/noai")

    def _moved(self) -> None:
        self._send(b"", 301, Location=f"/photo-{self.path.strip('/')}")

    def _loop(self) -> None:
        self._send(b"", 302, Location="/loop")

    def _announced(self) -> None:
        self._send(b"\xff\xd8\xff", length=10**9)

    def _busy(self) -> None:
        self._once(503, Retry_After="1")

    def _limited(self) -> None:
        self._once(429, Retry_After="0")

    def _flaky(self) -> None:
        self._once(500)

    def _once(self, status: int, **headers: str) -> None:
        if len(self.server.times(self.path)) == 1:
            self._send(b"", status, **headers)
        else:
            self._own()

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


def own_photo(path: str) -> bytes:
    """Return a picture with a comment of its own."""
    number = path.encode()
    return PHOTO[:2] + b"\xff\xfe" + (len(number) + 2).to_bytes(2, "big") + number + PHOTO[2:]


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
