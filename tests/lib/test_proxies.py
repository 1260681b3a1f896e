"""The way out of a closed network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.lib.addresses import AddressRefusedError
from scripts.lib.errors import UserError
from scripts.lib.fetch import fetch_file
from scripts.lib.proxies import check_name, is_this_machine, numeric_address, proxy_of
from tests.curate.photo_server import PHOTO, PhotoServer
from tests.curate.proxied import forget_proxies, proxied


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    forget_proxies(monkeypatch)
    return monkeypatch


@pytest.fixture
def proxy(environment: pytest.MonkeyPatch) -> Iterator[PhotoServer]:
    with proxied(environment) as server:
        yield server


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.1", "127.0.0.1"),
        ("0x7f.0.0.1", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0", "0.0.0.0"),
        ("10.1", "10.0.0.1"),
        ("8.8.8.8", "8.8.8.8"),
        ("[::1]", "::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("example.org", None),
        ("127.0.0.1.example.org", None),
        ("", None),
    ],
)
def test_numeric_spellings(host: str, address: str | None) -> None:
    assert numeric_address(host) == address


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "2130706433", "0x7f000001", "017700000001", "0", "10.0.0.7", "172.16.3", "192.168.257",
        "169.254.169.254", "100.64.0.1", "::1", "::ffff:10.0.0.1", "fc00::1", "64:ff9b::7f00:1", "localhost",
        "LOCALHOST.", "photos.localhost", "intranet", "printer.local", "db.internal", "router.home.arpa",
    ],
)  # fmt: skip
def test_what_a_proxy_is_never_asked_for(host: str) -> None:
    with pytest.raises(AddressRefusedError):
        check_name(host)


@pytest.mark.parametrize("host", ["example.org", "8.8.8.8", "live.staticflickr.com", "2606:4700::1111"])
def test_what_a_proxy_may_be_asked_for(host: str) -> None:
    check_name(host)


def test_which_proxy(environment: pytest.MonkeyPatch) -> None:
    assert proxy_of("https", "example.org") is None
    environment.setenv("https_proxy", "http://user:word@gate.example:3128")
    environment.setenv("ALL_PROXY", "gate.example:81")
    environment.setenv("NO_PROXY", "example.net, .example.com")
    found = {
        host: proxy_of("https", host) for host in ("example.org", "a.example.com", "example.net", "localhost", "::1")
    }
    assert {host for host, proxy in found.items() if proxy} == {"example.org"}
    assert found["example.org"] is not None
    assert (found["example.org"].hostname, found["example.org"].port) == ("gate.example", 3128)
    plain = proxy_of("http", "example.org")
    assert plain is not None
    assert plain.port == 81
    assert is_this_machine("127.8.8.8")
    assert not is_this_machine("10.0.0.1")


@pytest.mark.parametrize("text", ["socks5://gate:1080", "https://gate", "http://", "http://gate:port"])
def test_other_proxies_are_named_as_unsupported_without_their_secret(
    environment: pytest.MonkeyPatch, text: str
) -> None:
    environment.setenv("HTTPS_PROXY", text)
    with pytest.raises(UserError, match="HTTPS_PROXY") as caught:
        proxy_of("https", "example.org")
    assert "gate" not in str(caught.value)


def test_fetch_file_goes_by_the_proxy(proxy: PhotoServer, tmp_path: Path) -> None:
    fetch_file("http://data.example.org/photo", tmp_path / "file", "", allow_private_addresses=False)
    assert (tmp_path / "file").read_bytes() == PHOTO
    assert proxy.hosts == ["data.example.org"]
    fetch_file("http://data.example.org/moved", tmp_path / "file", "", allow_private_addresses=False)
    for url in ("http://10.0.0.1/x", "http://data.example.org/tointranet", "http://data.example.org/tolocal"):
        with pytest.raises(UserError, match="was refused"):
            fetch_file(url, tmp_path / "file", "", allow_private_addresses=False)
    with pytest.raises(UserError, match="Tunnel connection failed: 403"):
        fetch_file("https://data.example.org/photo", tmp_path / "other", "", allow_private_addresses=False)
    assert proxy.hosts[-1] == "data.example.org:443"
