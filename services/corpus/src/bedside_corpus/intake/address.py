"""Which fsspec URLs a source may name: archives, and stores in the house.

Tested in tests/corpus/intake/test_fetching.py.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from bedside_core.addresses import is_in_house

ARCHIVES, STORES = ("zip", "tar"), ("http", "https", "s3")
ORIGIN = re.compile(r"https?://[^/]*")
UNSAFE = re.compile(r"[?#@\\\s]")
"""A query may hold a signature, which is a secret, and no other sign belongs into an address."""


class Address(NamedTuple):
    """The outermost layer of a URL."""

    protocol: str
    pattern: str
    """Which files of the archive or store; of http the whole URL."""
    inside: str | None
    """Of an archive: where it lies, a local path or a URL again."""


def is_url(place: str) -> bool:
    """Whether this is no local path."""
    return "://" in place and not place.startswith("file:///")


def local(place: str) -> str:
    """A local path as it is, or out of a `file://` URL."""
    return place.removeprefix("file://")


def outermost(url: str) -> Address:
    """The first layer of a URL: `zip://*::tar://b.zip::/a.tar` is a zip inside a tar."""
    head, chained, inside = url.partition("::")
    protocol, _, pattern = head.partition("://")
    if chained and protocol in STORES:  # of an IPv6 address
        head, chained = url, ""
    if protocol in ("http", "https"):
        pattern = head
    return Address(protocol, pattern.lstrip("/"), inside if chained else None)


def innermost(url: str) -> str:
    """Where the outermost archive in the end lies, or the URL itself."""
    while is_url(url) and (inside := outermost(url).inside) is not None:
        url = inside
    return url


def check(url: str, endpoint_url: str | None) -> None:
    """See that every layer is known and the store is in the house.

    Raises:
        ValueError: something is not; the sentence says what to do.
    """
    while is_url(url):
        protocol, pattern, inside = outermost(url)
        if protocol == "file":
            raise ValueError("file:// needs an absolute path - write file:///path")
        if protocol not in (*ARCHIVES, *STORES):
            raise ValueError(
                f"{protocol}:// is not read from, as nobody can say whether it leaves the house - "
                f"known are file, {', '.join((*ARCHIVES, *STORES))}; mount or copy all else"
            )
        if protocol in ARCHIVES and not inside:
            raise ValueError(f"{url} names no archive - write {protocol}://*::/path/of/archive")
        if protocol == "s3" and (endpoint_url is None or not is_in_house(endpoint_url)):
            raise ValueError(
                "s3:// needs endpoint_url, an address in the house - texts come from no other place"
            )
        if protocol in ("http", "https"):
            origin = ORIGIN.match(pattern)
            if origin is None or UNSAFE.search(pattern) or not is_in_house(origin[0]):
                raise ValueError(
                    "must be a loopback or private address, a name without dots, or one that ends "
                    "in .internal, .local or .svc, without user, query or blank - copy what lies "
                    "elsewhere"
                )
        if inside is None:
            break
        url = inside
    if endpoint_url is not None and not innermost(url).startswith("s3://"):
        raise ValueError("endpoint_url is for s3:// - leave it out")
