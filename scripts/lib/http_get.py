"""One GET request, redirects by hand: each address is checked before it is connected to, or named to a proxy."""

from __future__ import annotations

import base64
import http.client
import ssl
from collections.abc import Mapping
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from scripts.lib.addresses import REDIRECTS, AddressRefusedError, check_url, connect
from scripts.lib.proxies import check_name, proxy_of

MAX_REDIRECTS = 10
_LEGAL = "/%:@!$&'()*+,;=~-._?"


def open_address(
    url: str, headers: Mapping[str, str], *, timeout: float, allow_private_addresses: bool
) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    """Send a GET request and follow redirects by hand, checking each address; the caller closes the connection.

    Raises:
        AddressRefusedError: scheme or machine not allowed, too many redirects, or one from https to http.
        UserError: the environment names a proxy of a kind that is not supported.
        OSError, http.client.HTTPException: unreachable, or the answer is not HTTP.
    """
    for _ in range(MAX_REDIRECTS + 1):
        parts = check_url(url)
        connection, response = _get(parts, headers, timeout, allow_private_addresses)
        if response.status not in REDIRECTS:
            return connection, response
        connection.close()
        following = urljoin(url, response.headers.get("Location", ""))
        if parts.scheme == "https" and urlsplit(following).scheme == "http":
            raise AddressRefusedError(f"redirect from https to {following}")
        url = following
    raise AddressRefusedError(f"more than {MAX_REDIRECTS} redirects")


def _get(
    parts: SplitResult, headers: Mapping[str, str], timeout: float, allow_private: bool
) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    proxy = proxy_of(parts.scheme, parts.hostname or "")
    target = quote(parts.path or "/", safe=_LEGAL) + (f"?{quote(parts.query, safe=_LEGAL)}" if parts.query else "")
    sent = dict(headers)
    if proxy is None:
        connection = _direct(parts, timeout, allow_private)
    else:
        if not allow_private:
            check_name(parts.hostname or "")
        connection = _through(proxy, parts, timeout)
        if parts.scheme == "http":
            target, sent = f"http://{parts.netloc}{target}", sent | {"Host": parts.netloc} | _credentials(proxy)
    try:
        connection.request("GET", target, headers=sent)
        return connection, connection.getresponse()
    except BaseException:
        connection.close()
        raise


def _port(parts: SplitResult) -> int:
    return parts.port or (http.client.HTTPS_PORT if parts.scheme == "https" else http.client.HTTP_PORT)


def _direct(parts: SplitResult, timeout: float, allow_private: bool) -> http.client.HTTPConnection:
    secure, host, port = parts.scheme == "https", parts.hostname or "", _port(parts)
    link = connect(host, port, timeout, allow_private_addresses=allow_private)
    try:
        if secure:
            link = ssl.create_default_context().wrap_socket(link, server_hostname=host)
    except BaseException:
        link.close()
        raise
    connection = (http.client.HTTPSConnection if secure else http.client.HTTPConnection)(host, port)
    connection.sock = link  # connected already: http.client would resolve the name a second time
    return connection


def _through(proxy: SplitResult, parts: SplitResult, timeout: float) -> http.client.HTTPConnection:
    """Return a connection to the proxy; for https it opens a tunnel, and the certificate is still the server's."""
    host = proxy.hostname or ""
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, _port(proxy), timeout=timeout)
    secure = http.client.HTTPSConnection(host, _port(proxy), timeout=timeout, context=ssl.create_default_context())
    secure.set_tunnel(parts.hostname or "", _port(parts), headers=_credentials(proxy))
    return secure


def _credentials(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    text = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": "Basic " + base64.b64encode(text.encode("utf-8")).decode("ascii")}
