"""Which URLs may be trusted with what they answer.

Tested in tests/inference/gateway/access/test_oidc.py.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit


def is_secure(url: str) -> bool:
    """Whether nobody on the way can change what a URL answers: https, or this machine itself."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc or "#" in url:
            return False
        return parts.port != 0 and (
            parts.scheme == "https" or host == "localhost" or ip_address(host).is_loopback
        )
    except ValueError:
        return False
