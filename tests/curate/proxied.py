"""A process whose way out is a proxy, whatever the environment of the tests says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.curate.photo_server import PhotoServer, photo_server

NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


def forget_proxies(environment: pytest.MonkeyPatch) -> None:
    """Take all proxies out of the environment."""
    for name in NAMES:
        environment.delenv(name, raising=False)


@contextmanager
def proxied(environment: pytest.MonkeyPatch) -> Iterator[PhotoServer]:
    """Start a proxy and name it in the environment."""
    with photo_server() as server:
        environment.setenv("HTTP_PROXY", server.base)
        environment.setenv("HTTPS_PROXY", server.base)
        environment.setenv("NO_PROXY", "direct.example.org,.within.example.org")
        yield server
