"""The way out of a closed network: HTTPS_PROXY, HTTP_PROXY and NO_PROXY, as curl reads them.

Behind a proxy it is the proxy that resolves names, so the check of the numeric address cannot be made here. What can be
seen here is refused here: numeric addresses in any spelling, and names that mean the own network. The rest is the
proxy's to refuse; its own address is the operator's word and not checked. This machine itself (`localhost`, 127.0.0.1)
is never asked for through a proxy, whatever NO_PROXY says: to the proxy it would be another machine.
"""

from __future__ import annotations

import ipaddress
import socket
import urllib.request
from urllib.parse import SplitResult, urlsplit

from scripts.lib.addresses import AddressRefusedError, check_ip
from scripts.lib.errors import UserError

# RFC 6761, RFC 6762, RFC 8375, and ICANN's reservation of 2024
_OWN_DOMAINS = (".localhost", ".local", ".internal", ".home.arpa", ".onion")


def numeric_address(host: str) -> str | None:
    """Return the address that a host text spells (`127.1`, `0x7f.1`, `2130706433`, `::1`), None for a name."""
    try:
        return str(ipaddress.ip_address(host.strip("[]").split("%", maxsplit=1)[0]))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host)) if host and not host[-1].isspace() else None
    except OSError:
        return None


def check_name(host: str) -> None:
    """Refuse what a proxy must not be asked for.

    Raises:
        AddressRefusedError: a numeric address that is not public, or a name of the own network (no dot, `.local`, ...).
    """
    address = numeric_address(host)
    if address is not None:
        check_ip(address)
        return
    name = host.lower().rstrip(".")
    if "." not in name or name.endswith(_OWN_DOMAINS):
        raise AddressRefusedError(f"{host} is a name of the own network")


def is_this_machine(host: str) -> bool:
    """Return whether a host text means the machine that reads it."""
    address = numeric_address(host)
    if address is not None:
        return ipaddress.ip_address(address).is_loopback
    return host.lower().rstrip(".") == "localhost"


def proxy_of(scheme: str, host: str) -> SplitResult | None:
    """Return the proxy that the environment names for a host, None for the direct way.

    Raises:
        UserError: the proxy's address is not `http://host:port`.
    """
    if is_this_machine(host):
        return None
    proxies = urllib.request.getproxies_environment()
    text = proxies.get(scheme) or proxies.get("all", "")
    if not text or urllib.request.proxy_bypass_environment(host, proxies):  # type: ignore[attr-defined]
        return None
    try:
        proxy = urlsplit(text if "://" in text else f"http://{text}")
        port = proxy.port  # parsed when it is asked for
    except ValueError:
        proxy, port = SplitResult("", "", "", "", ""), None
    if proxy.scheme == "http" and proxy.hostname and port != 0:
        return proxy
    raise UserError(
        f"the environment variable {scheme.upper()}_PROXY (or ALL_PROXY) holds no address of the form http://host:port,"
        " the only kind that is supported here. Correct it, or unset it for the direct way."
    )
