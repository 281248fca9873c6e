"""The arithmetic of rates: a leaky bucket as a meter (ITU-T I.371), in whole numbers.

A meter holds what a key used, in parts: one request or token is `PARTS` = 60000 parts, and in each
millisecond as many parts leak out as the rate allows units per minute. So no fraction is ever
rounded, in neither store: in any span nobody gets more than the rate times the span plus one
minute's burst, and nobody who stays within that is refused.

Tested in tests/inference/gateway/access/test_limits.py.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

PARTS = 60_000
"""Of one request or token; also the milliseconds of a minute."""

MOST = 10**9
"""Units per minute and per step; meters then are bigints."""


class Units(NamedTuple):
    """Requests and tokens; as a rate per minute, where 0 means no limit."""

    requests: int
    tokens: int


class Step(NamedTuple):
    """What came of a step: the levels of both meters in parts, with it if it was granted."""

    granted: bool
    requests: int
    tokens: int


class StoreError(Exception):
    """The store did not answer, or not in time."""


class RateStore(Protocol):
    """Meters by key."""

    def running(self) -> AbstractAsyncContextManager[None]:
        """Hold what the store needs while the gateway runs."""

    async def step(self, key: str, rates: Units, use: Units, *, forced: bool) -> Step:
        """Add a use to a key's meters, to both or to neither.

        Args:
            key: whose meters.
            rates: how fast they leak; a minute's worth is also what they hold.
            use: what to add; a negative number is given back.
            forced: add it though it flows over, because it has already happened.

        Raises:
            StoreError: nobody knows whether it was added.
        """


def leaked(level: int, rate: int, milliseconds: int) -> int:
    """The level after some time; without a rate nothing is counted."""
    return max(0, level - rate * milliseconds) if rate else 0


def overflow(level: int, rate: int, units: int) -> int:
    """By how many parts some units more would not fit; 0 if they do."""
    return max(0, level + units * PARTS - rate * PARTS) if rate else 0


def drain_milliseconds(parts: int, rate: int) -> int:
    """How long so many parts take to leak out, rounded up."""
    return -(-parts // rate) if rate else 0
