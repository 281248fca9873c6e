"""Rates per key, exact however many processes count together; refused before anything is spent.

Covered: requests and tokens per minute, both or neither charged, before the answer by estimate and
after it by what it was. Not covered: a request that its client leaves while the store is being
asked stays charged.

Header names: OpenAI's API reference, "Rate limits in headers".
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from bedside_core import log
from bedside_inference.config import LimitsConfig
from bedside_inference.gateway.access.rates.memory import MemoryStore
from bedside_inference.gateway.access.rates.meter import (
    MOST,
    PARTS,
    RateStore,
    Step,
    StoreError,
    Units,
    drain_milliseconds,
    overflow,
)
from bedside_inference.gateway.errors import (
    limits_unavailable,
    rate_limit_exceeded,
    too_many_tokens_for_key,
)

logger = logging.getLogger(__name__)


class Grant:
    """What one request was charged."""

    __slots__ = ("headers", "rates", "subject", "tokens")

    def __init__(self, subject: str, rates: Units, tokens: int, headers: dict[str, str]) -> None:
        self.subject, self.rates, self.tokens = subject, rates, tokens
        self.headers = headers
        """For the answer: what the key may do and has left."""


class Limits:
    """The rates of all keys; one store holds what was used."""

    def __init__(self, store: RateStore) -> None:
        self._store = store
        self._away = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Hold the store's connections while the gateway runs."""
        async with self._store.running():
            yield

    async def take(
        self,
        subject: str,
        requests_per_minute: int | None,
        tokens_per_minute: int | None,
        tokens: int,
    ) -> Grant:
        """Charge one request and its estimated tokens together, or nothing.

        Args:
            subject: whose rates.
            requests_per_minute: none is no limit; a whole minute's worth may come at once.
            tokens_per_minute: the same.
            tokens: the prompt's and the most that the answer may have, estimated.

        Raises:
            ApiError: 429 too soon, 400 it needs more tokens than a whole minute allows, 503 the
                store cannot be reached; nothing is charged.
        """
        rates = Units(min(requests_per_minute or 0, MOST), min(tokens_per_minute or 0, MOST))
        if rates == (0, 0):
            return Grant(subject, rates, tokens, {})
        if rates.tokens and tokens > rates.tokens:
            raise too_many_tokens_for_key(headers=_headers(rates, None))
        use = Units(1, max(0, tokens))
        try:
            step = await self._step(subject, rates, use, forced=False)
        except StoreError:
            raise limits_unavailable() from None
        headers = _headers(rates, step)
        if not step.granted:
            wait = max(
                drain_milliseconds(overflow(step.requests, rates.requests, 1), rates.requests),
                drain_milliseconds(overflow(step.tokens, rates.tokens, use.tokens), rates.tokens),
            )
            raise rate_limit_exceeded(headers={"Retry-After": str(-(-wait // 1000)), **headers})
        return Grant(subject, rates, use.tokens, headers)

    async def settle(self, grant: Grant, tokens: int) -> None:
        """Replace the estimate by the true number, which may be more than there was left.

        A difference that the store cannot be told is lost, in whoever's favour.
        """
        difference = min(tokens, MOST) - grant.tokens
        if not grant.rates.tokens or not difference:
            return
        grant.tokens += difference
        with suppress(StoreError):
            await self._step(grant.subject, grant.rates, Units(0, difference), forced=True)

    async def _step(self, subject: str, rates: Units, use: Units, *, forced: bool) -> Step:
        try:
            step = await self._store.step(subject, rates, use, forced=forced)
        except StoreError as error:
            if not self._away:
                self._away = True
                cause = type(error.__cause__).__name__
                logger.warning("rates cannot be counted", extra=log.fields(cause=cause))
            raise
        if self._away:
            self._away = False
            logger.info("rates are counted again")
        return step


def make_limits(config: LimitsConfig) -> Limits:
    """The limits of a configuration."""
    if config.url is None:
        return Limits(MemoryStore())
    # Whoever counts in the process does not pay for the library.
    from bedside_inference.gateway.access.rates.postgres import PostgresStore

    return Limits(PostgresStore(config.url))


def _headers(rates: Units, step: Step | None) -> dict[str, str]:
    headers = {}
    for kind, rate, level in (
        ("requests", rates.requests, step.requests if step else None),
        ("tokens", rates.tokens, step.tokens if step else None),
    ):
        if rate:
            headers[f"x-ratelimit-limit-{kind}"] = str(rate)
            if level is not None:
                headers[f"x-ratelimit-remaining-{kind}"] = str(max(0, rate - -(-level // PARTS)))
                reset = drain_milliseconds(level, rate)
                headers[f"x-ratelimit-reset-{kind}"] = _duration(reset)
    return headers


def _duration(milliseconds: int) -> str:
    """As OpenAI writes it: `20ms`, `1.5s`, `6m0s`."""
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    return (f"{minutes}m" if minutes else "") + f"{rest / 1000:g}s"
