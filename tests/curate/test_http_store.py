"""The client: private addresses, names that change their meaning, proxies."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.curate.settings import HttpStore
from scripts.lib.addresses import AddressRefusedError, check_ip, connect
from tests.curate.download_run import Run, candidates, yfcc
from tests.curate.photo_server import PhotoServer
from tests.curate.proxied import forget_proxies, proxied


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    forget_proxies(monkeypatch)
    return monkeypatch


@pytest.fixture
def proxy(environment: pytest.MonkeyPatch) -> Iterator[PhotoServer]:
    with proxied(environment) as server:
        yield server


SPELLINGS = [
    "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f.1", "0x7f000001", "0177.0.0.1", "017700000001", "localhost",
    "0", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:0:0:1]", "[::]",
]  # fmt: skip


def test_every_spelling_of_this_machine_is_refused_at_connect(server: PhotoServer, run: Run, tmp_path: Path) -> None:
    port = server.server_address[1]
    images = [(f"a{index:02d}", f"http://{host}:{port}/photo") for index, host in enumerate(SPELLINGS)]
    table = candidates(tmp_path / "c.parquet", images)
    rows = run([table], yfcc(HttpStore(url="{download_url}")), allow_private_addresses=False)
    assert {row["address"]: row["reason"] for row in rows} == {url: "address_refused" for _, url in images}
    assert server.requests == []


@pytest.fixture
def rebinding(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A name server whose name is public for who looks first, and this machine from then on."""
    real, asked = socket.getaddrinfo, list[str]()

    def answer(host: Any, port: Any, *arguments: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name != "rebinding.example.org":
            return real(host, port, *arguments, **options)
        asked.append(name)
        address = "8.8.8.8" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, int(port or 0)))]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return asked


def test_a_name_that_was_public_a_moment_ago(
    server: PhotoServer, run: Run, tmp_path: Path, rebinding: list[str]
) -> None:
    """Who looks first and connects then is led to this machine; what is checked is what is connected to."""
    ((*_, place),) = socket.getaddrinfo("rebinding.example.org", 80)
    check_ip(place[0])  # public
    url = f"http://rebinding.example.org:{server.server_address[1]}/photo"
    table = candidates(tmp_path / "c.parquet", [("a", url)])
    (row,) = run([table], yfcc(HttpStore(url="{download_url}")), allow_private_addresses=False)
    assert (row["reason"], row["detail"]) == ("address_refused", "127.0.0.1 is a private or special address")
    with pytest.raises(AddressRefusedError):
        connect("rebinding.example.org", server.server_address[1], 1.0, allow_private_addresses=False)
    assert len(rebinding) >= 3
    assert server.requests == []


def test_download_goes_by_the_proxy(proxy: PhotoServer, run: Run, tmp_path: Path) -> None:
    """The proxy is on a private address and resolves the names; what it must not be asked for never reaches it."""
    images = {
        "a": "http://photos.example.org/photo-1",
        "b": "http://10.0.0.1/photo",
        "c": "http://intranet/photo",
        "d": "http://127.1/photo",
        "e": f"{proxy.base}/photo",
        "f": "http://photos.example.org/tolocal",
        "g": "http://photos.example.org/toprivate",
        "h": "http://photos.example.org/tometadata",
        "i": "https://photos.example.org/photo",
        "j": "http://direct.example.org.invalid/photo",
    }
    table = candidates(tmp_path / "c.parquet", list(images.items()))
    rows = run([table], yfcc(HttpStore(url="{download_url}")), allow_private_addresses=False)
    reasons = {row["image_id"]: row["reason"] for row in rows}
    refused = dict.fromkeys("bcdefgh", "address_refused")
    assert reasons == {"a": "", "i": "download_failed", "j": ""} | refused  # i: this proxy allows no tunnel
    assert set(proxy.hosts) == {"photos.example.org", "photos.example.org:443", "direct.example.org.invalid"}
    assert "/photo-within" not in [path for path, _ in proxy.requests]


def test_names_of_no_proxy_are_resolved_here(proxy: PhotoServer, run: Run, tmp_path: Path) -> None:
    table = candidates(tmp_path / "c.parquet", [("a", "http://no.within.example.org.invalid/photo")])
    assert run([table], yfcc(HttpStore(url="{download_url}")))[0]["reason"] == ""
    proxy.hosts.clear()
    table = candidates(tmp_path / "d.parquet", [("a", "http://no-such-host.within.example.org/photo")])
    rows = run([table], yfcc(HttpStore(url="{download_url}")), max_failed_share=1.0)
    assert rows[0]["reason"] == "download_failed"
    assert proxy.hosts == []
