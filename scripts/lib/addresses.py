"""Which addresses a download may go to: http and https, and by default no machine of the own network.

The check belongs at the moment of connecting, on the numeric address: a name that was public when it was looked at may
resolve to 127.0.0.1 a moment later (DNS rebinding), and `http://2130706433/` or `http://0x7f.1/` are spellings of it.
"""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import SplitResult, urlsplit

SCHEMES = ("http", "https")
REDIRECTS = (301, 302, 303, 307, 308)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class AddressRefusedError(Exception):
    """An address that the config does not allow. Not an OSError, so that no retry or fallback swallows it."""


def check_url(url: str) -> SplitResult:
    """Return the parts of an address.

    Raises:
        AddressRefusedError: not http or https, no host, a user name or password in it, or not an address at all.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # the port is parsed when it is asked for
        (host or "").encode("idna")
    except ValueError as error:
        raise AddressRefusedError(f"not an address: {error}") from None
    if parts.scheme not in SCHEMES:
        raise AddressRefusedError(f"scheme '{parts.scheme[:20]}' is not http or https")
    if not host:
        raise AddressRefusedError("no host in the address")
    if parts.username is not None or parts.password is not None:
        raise AddressRefusedError("a user name or password is in the address")
    return parts


def is_public(address: str) -> bool:
    """Return whether a numeric IPv4 or IPv6 address is one of the open internet.

    Addresses that carry an IPv4 address inside (mapped, 6to4, NAT64) count as what they carry; Teredo is refused.
    """
    ip = ipaddress.ip_address(address.split("%", maxsplit=1)[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if ip.is_site_local or ip.teredo is not None:
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified or ip.is_loopback)


def check_ip(address: str) -> None:
    """Refuse a numeric address that is not public.

    Raises:
        AddressRefusedError: private, loopback, link-local or another special range.
    """
    if not is_public(address):
        raise AddressRefusedError(f"{address} is a private or special address")


def connect(host: str, port: int, timeout: float, *, allow_private_addresses: bool) -> socket.socket:
    """Resolve `host` once, check what it resolves to, and connect to exactly that.

    Raises:
        AddressRefusedError: the first address that answers to the name is not public, and that is not allowed.
        OSError: no such name, or nothing answers.
    """
    problem: OSError | None = None
    for family, kind, protocol, _, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        if not allow_private_addresses:
            check_ip(str(place[0]))
        link = socket.socket(family, kind, protocol)
        link.settimeout(timeout)
        try:
            link.connect(place)
        except OSError as error:
            link.close()
            problem = error
        else:
            return link
    raise problem or OSError(f"{host} has no address")
