"""What is kept of requests that were refused before anybody was known.

Whoever reaches the port can send them without end, and a whole record of each would fill the disk
that those who are served need. So a minute has a number of whole records for each network, and one
for all; whatever is above is counted by route and code in one entry of type `refused` a minute.
Below a reserve of free disk all of them are only counted.

Covered: one gateway, its workers included: each has its part of the numbers, and counts over as
many minutes as there are workers. Not covered: a worker that is killed takes along what it counted
since its last entry; replicas with a log of their own each have the whole numbers.
"""

from __future__ import annotations

import ipaddress
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from bedside_core.chain import rfc3339

WHOLE_OF_NETWORK = 20
"""Whole records a minute of one IPv4 address or IPv6 /64."""
WHOLE = 60
"""Whole records a minute of all together."""
NETWORKS = 10_000
"""How many different ones are told apart in a count."""
KINDS = 60
"""Routes and codes that an entry names, the most frequent ones; the rest is `other`."""
MINUTE = 60.0


class Refusals:
    """Decides which are recorded whole, and counts the others."""

    def __init__(self, workers: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`workers`: processes that share the numbers; every one has at least one record."""
        self._clock = clock
        self._of_network, self._of_all = (
            max(1, WHOLE_OF_NETWORK // workers),
            max(1, WHOLE // workers),
        )
        self._count_seconds = MINUTE * workers
        self.scarce = False
        """Whether the disk has no more than its reserve."""
        self._minute = -1
        self._whole: Counter[bytes] = Counter()
        """Whole records of this minute, by network."""
        self._counts: Counter[tuple[str, str]] = Counter()
        self._networks: set[bytes] = set()
        self._for_reserve = False
        """Whether any of them was counted for the reserve's sake."""
        self._began, self._since = 0.0, 0.0
        """When the count began, by the monotonic and by the wall clock."""

    def whole(self, address: str, route: str, code: str) -> bool:
        """Whether this one gets a record of its own; otherwise it has been counted."""
        now, network = self._clock(), network_of(address)
        if (minute := int(now // MINUTE)) != self._minute:
            self._minute = minute
            self._whole.clear()
        if (
            not self.scarce
            and self._whole.total() < self._of_all
            and self._whole[network] < self._of_network
        ):
            self._whole[network] += 1
            return True
        if not self._counts:
            self._began, self._since = now, time.time()
        self._counts[route, code] += 1
        self._for_reserve = self._for_reserve or self.scarce
        if len(self._networks) < NETWORKS:
            self._networks.add(network)
        return False

    def due(self, *, closing: bool) -> dict[str, Any] | None:
        """The members of an entry that must be written now; `written` says that it was."""
        if not self._counts or not (closing or self._clock() - self._began >= self._count_seconds):
            return None
        named = dict(self._counts.most_common(KINDS))
        if rest := self._counts.total() - sum(named.values()):
            named["other", "other"] = rest
        return {
            "since": rfc3339(self._since),
            "until": rfc3339(time.time()),
            "requests": self._counts.total(),
            "networks": len(self._networks),
            "scarce": self._for_reserve,
            "counts": {f"{route} {code}": n for (route, code), n in sorted(named.items())},
        }

    def written(self) -> None:
        """Begin to count anew."""
        self._counts.clear()
        self._networks.clear()
        self._for_reserve = False


def network_of(address: str) -> bytes:
    """What one sender can be expected to have for itself: an IPv4 address or an IPv6 /64."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return b""  # what a proxy passed on need not be an address
    if isinstance(found, ipaddress.IPv6Address):
        return found.packed[:8] if found.ipv4_mapped is None else found.ipv4_mapped.packed
    return found.packed
