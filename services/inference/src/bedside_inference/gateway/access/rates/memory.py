"""Meters within one process.

Tested in tests/inference/gateway/access/test_limits.py.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

from bedside_inference.gateway.access.rates.meter import (
    PARTS,
    Step,
    Units,
    drain_milliseconds,
    leaked,
    overflow,
)

KEPT = 1024
"""Meters are looked through for forgetting only beyond so many."""


class Meters(NamedTuple):
    """Both meters of a key at a time; the times are in milliseconds."""

    at: int
    requests: int
    tokens: int
    empty: int


class MemoryStore:
    """A dictionary; an empty meter is the same as none, so those are forgotten."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._meters: dict[str, Meters] = {}
        self._held = KEPT

    def __len__(self) -> int:
        return len(self._meters)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        yield

    async def step(self, key: str, rates: Units, use: Units, *, forced: bool) -> Step:
        now = int(self._clock() * 1000)
        requests = tokens = 0
        known = self._meters.get(key)
        if known is not None:
            requests = leaked(known.requests, rates.requests, now - known.at)
            tokens = leaked(known.tokens, rates.tokens, now - known.at)
        granted = forced or not (
            overflow(requests, rates.requests, use.requests)
            or overflow(tokens, rates.tokens, use.tokens)
        )
        if granted:
            requests = max(0, requests + use.requests * PARTS) if rates.requests else 0
            tokens = max(0, tokens + use.tokens * PARTS) if rates.tokens else 0
            self._keep(key, rates, Meters(now, requests, tokens, 0))
        return Step(granted, requests, tokens)

    def _keep(self, key: str, rates: Units, meters: Meters) -> None:
        if key not in self._meters and len(self._meters) >= self._held:
            self._meters = {
                known: kept for known, kept in self._meters.items() if kept.empty > meters.at
            }
            self._held = max(KEPT, 2 * len(self._meters))
        wait = max(
            drain_milliseconds(meters.requests, rates.requests),
            drain_milliseconds(meters.tokens, rates.tokens),
        )
        self._meters[key] = meters._replace(empty=meters.at + wait)
