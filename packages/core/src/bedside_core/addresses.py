"""Which addresses are in the house: the places that text, traces and metrics may be sent to."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network

IN_HOUSE_URL = re.compile(
    r"https?://(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<v4>[0-9]+(?:\.[0-9]+){3})"
    r"|(?P<name>[A-Za-z][A-Za-z0-9_-]*|[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.(?:internal|local|svc)))"
    r"(?::(?P<port>[0-9]{1,5}))?(?:/[A-Za-z0-9._/-]*)?",
    re.ASCII | re.IGNORECASE,
)
IN_HOUSE_NETWORKS = tuple(
    ip_network(network)
    for network in (
        *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"),
        *("::1/128", "fc00::/7", "fe80::/10"),
    )
)
"""Loopback, RFC 1918, RFC 4193 and link-local (RFC 3927, RFC 4291)."""


def is_in_house(url: str) -> bool:
    """Whether a URL names a host that nobody outside can be reached as.

    A name without dots starts with a letter, because `http://134744072` is an address.
    """
    found = IN_HOUSE_URL.fullmatch(url)
    if found is None or (found["port"] and not 0 < int(found["port"]) < 1 << 16):
        return False
    if found["name"]:
        return True
    try:
        address = ip_address(found["v6"] or found["v4"])
    except ValueError:
        return False
    return any(address in network for network in IN_HOUSE_NETWORKS)
