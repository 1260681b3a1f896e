"""fetch_file and fetch_metadata against a server in this process."""

from __future__ import annotations

import fcntl
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from scripts.curate import fetch_metadata
from scripts.lib.addresses import AddressRefusedError, check_url, connect, is_public
from scripts.lib.errors import UserError
from scripts.lib.fetch import fetch_file

CONTENT = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT in several manners and remembers what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges: list[str | None] = []
        self.cut_once = True
        self.busy_once = True

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def _redirect(self, location: str) -> None:
        self.send_response(302)
        self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        if self.path == "/missing":
            self.send_error(404)
        elif self.path == "/to-file":
            self._redirect("file:///etc/passwd")
        elif self.path == "/loop":
            self._redirect("/loop")
        elif self.path == "/moved":
            self._redirect("/plain")
        elif self.path == "/busy" and self.server.busy_once:
            self.server.busy_once = False
            self.send_response(503)
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.path == "/gzip":
            self.send_response(200)
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._content(asked if self.path != "/no-range" else None)

    def _content(self, asked: str | None) -> None:
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if asked and self.headers.get("If-Range", '"v1"') != '"v1"':
            start, asked = 0, None
        if start >= len(CONTENT):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.send_header("ETag", '"v1"')
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.end_headers()
        body = CONTENT[start:]
        if self.path == "/cut" and self.server.cut_once:
            self.server.cut_once = False
            body = body[:300_000]
            self.close_connection = True
        self.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield running
        running.shutdown()


@pytest.mark.parametrize("path", ["/plain", "/moved", "/busy", "/no-range"])
@pytest.mark.parametrize("digest", [SHA256, SHA256[:8], ""])
def test_content_arrives(server: Server, tmp_path: Path, path: str, digest: str) -> None:
    target = tmp_path / "new" / "file"
    fetch_file(server.base + path, target, digest, allow_private_addresses=True)
    assert target.read_bytes() == CONTENT
    assert [item.name for item in target.parent.iterdir()] == ["file"]


def test_cut_connection_is_continued(server: Server, tmp_path: Path) -> None:
    fetch_file(server.base + "/cut", tmp_path / "file", SHA256, allow_private_addresses=True)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-"]


def test_partial_file_of_an_earlier_run_is_continued(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".file.partial").write_bytes(CONTENT[:1000])
    fetch_file(server.base + "/plain", tmp_path / "file", SHA256, allow_private_addresses=True)
    assert server.ranges == ["bytes=1000-"]
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_whole_partial_file_needs_no_bytes(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".file.partial").write_bytes(CONTENT)
    fetch_file(server.base + "/plain", tmp_path / "file", SHA256, allow_private_addresses=True)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_partial_file_of_another_content_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".file.partial").write_bytes(b"x" * 1000)
    fetch_file(server.base + "/plain", tmp_path / "file", SHA256, allow_private_addresses=True)
    assert server.ranges == ["bytes=1000-", None]
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_partial_file_without_hash_or_validator_is_not_trusted(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".file.partial").write_bytes(b"x" * 1000)
    fetch_file(server.base + "/plain", tmp_path / "file", "", allow_private_addresses=True)
    assert server.ranges == [None]
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_changed_validator_starts_from_the_beginning(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".file.partial").write_bytes(b"x" * 1000)
    (tmp_path / ".file.partial.etag").write_text('"v0"')
    fetch_file(server.base + "/plain", tmp_path / "file", "", allow_private_addresses=True)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_two_processes_do_not_write_the_same_file(server: Server, tmp_path: Path) -> None:
    with (tmp_path / ".file.partial").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another process is fetching"):
            fetch_file(server.base + "/plain", tmp_path / "file", SHA256, allow_private_addresses=True)


@pytest.mark.parametrize(
    ("path", "digest", "text"),
    [
        ("/plain", "0" * 64, f"has SHA-256 {SHA256}.*expects 0000"),
        ("/plain", "0" * 8, "It was not kept"),
        ("/plain", "abc", "expected 64 lower-case hexadecimal digits"),
        ("/plain", SHA256.upper(), "expected 64 lower-case"),
        ("/missing", "", "answers HTTP 404"),
        ("/gzip", "", "Content-Encoding gzip"),
        ("/to-file", "", "scheme 'file' is not http or https"),
        ("/loop", "", "redirects"),
    ],
)
def test_failures_say_what_to_do(server: Server, tmp_path: Path, path: str, digest: str, text: str) -> None:
    with pytest.raises(UserError, match=text):
        fetch_file(server.base + path, tmp_path / "file", digest, allow_private_addresses=True)
    assert not (tmp_path / "file").exists()


def test_private_address_is_refused_unless_allowed(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"127\.0\.0\.1 is a private or special address"):
        fetch_file(server.base + "/plain", tmp_path / "file", SHA256, allow_private_addresses=False)
    assert server.ranges == []


def test_too_long_file_is_refused(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="longer than the 1000 bytes"):
        fetch_file(server.base + "/plain", tmp_path / "file", SHA256, allow_private_addresses=True, max_bytes=1000)


def test_unreachable_server(tmp_path: Path) -> None:
    with Server() as closed:
        base = closed.base
    with pytest.raises(UserError, match=r"could not be fetched.*refused.*give its path in the config"):
        fetch_file(base + "/plain", tmp_path / "file", SHA256, allow_private_addresses=True)


def test_main(server: Server, tmp_path: Path) -> None:
    fetch_metadata.main(["--url", server.base + "/plain", "--sha256", "", "--out", str(tmp_path / "rows")])
    assert (tmp_path / "rows").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "localhost", "::1", "::ffff:127.0.0.1", "0"]
)
def test_every_spelling_of_this_machine_is_refused(host: str) -> None:
    with pytest.raises(AddressRefusedError):
        connect(host, 9, 1.0, allow_private_addresses=False)


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.18.0.1", "::", "fe80::1%1", "fc00::1", "fec0::1", "ff02::1",
        "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1", "2001:db8::1", "2001:0:53aa:64c:0:7fff:a0ff:fffe",
    ],
)  # fmt: skip
def test_special_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("file:///etc/passwd", "scheme 'file'"),
        ("data:text/plain,x", "scheme 'data'"),
        ("ftp://host/x", "scheme 'ftp'"),
        ("//host/x", "scheme ''"),
        ("http:///x", "no host"),
        ("http://user:word@host/x", "password"),
        ("http://host:port/x", "not an address"),
        ("http://[::1/x", "not an address"),
    ],
)
def test_refused_urls(url: str, text: str) -> None:
    with pytest.raises(AddressRefusedError, match=text):
        check_url(url)
