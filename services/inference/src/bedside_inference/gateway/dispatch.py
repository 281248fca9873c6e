"""Where a request goes: its place in the queue, the engine that answers it, and what ends it early.

Tested in tests/inference/gateway/engines/test_fleet.py.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import NamedTuple

from bedside_inference.gateway.access.limits import Limits
from bedside_inference.gateway.api.bodies import Prepared
from bedside_inference.gateway.api.events import Usage
from bedside_inference.gateway.engines.admission import Admission
from bedside_inference.gateway.engines.client import too_long
from bedside_inference.gateway.engines.fleet import Fleet
from bedside_inference.gateway.engines.monitor import Monitor
from bedside_inference.gateway.errors import (
    ApiError,
    key_revoked,
    locked_out,
    model_stopped,
    tools_not_offered,
)
from bedside_inference.gateway.exchange import Exchange
from bedside_inference.principal import Principal
from bedside_inference.served import ServedModel
from bedside_inference.state.records import State
from bedside_inference.state.watch import Watch

BYTES_PER_TOKEN = 3
"""Of German prose with today's tokenizers, rounded down: an estimate must not be too low."""
USUAL_ANSWER = 512
"""Tokens that an answer without a limit is taken to have until its true number is known."""


class Running(NamedTuple):
    """An answer that engines are asked for."""

    digests: frozenset[str]
    """Of the models that may give it."""
    principal: Principal | None
    """Who asked."""
    stream: bool


class Dispatch:
    """Gives requests their place and their engine; ends those whose model or key is stopped."""

    def __init__(
        self, model_name: str, watch: Watch, fleet: Fleet, limits: Limits, admission: Admission
    ) -> None:
        self.model_name, self.watch, self.fleet = model_name, watch, fleet
        self.limits, self.admission = limits, admission
        self._running: dict[Callable[[ApiError], None], Running] = {}
        """By what stops the answer."""

    @asynccontextmanager
    async def place(self, exchange: Exchange, request: Prepared) -> AsyncIterator[list[Monitor]]:
        """A place at the engines that may answer, within the caller's rates.

        Raises:
            ApiError: 400 it asks for more than there ever is, 429 or 503 there is none now.
            StateUnavailable: which model may answer is not known.
        """
        principal = exchange.principal
        assert principal is not None  # noqa: S101 - hung on the route
        self._candidates(principal, request)  # nobody waits for a model that is not there
        prompt = request.prompt_bytes // BYTES_PER_TOKEN + 1
        limit = USUAL_ANSWER if request.max_tokens is None else request.max_tokens
        tokens = prompt + request.answers * limit
        grant = await self.limits.take(
            principal.subject,
            principal.requests_per_minute,
            principal.tokens_per_minute,
            tokens,
        )
        exchange.headers.update(grant.headers)
        usage = exchange.usage
        ticket = self.admission.enter(principal.subject, principal.priority, tokens)
        try:
            async with ticket:
                exchange.admitted = time.monotonic()
                candidates = self._candidates(principal, request)
                exchange.chosen = candidates[0].served
                exchange.record.decisions = self._decisions(principal, exchange.chosen)
                try:
                    yield candidates
                finally:
                    if used := _used(usage, prompt):
                        ticket.correct(used)
        finally:
            exchange.queued, exchange.released = ticket.queued_seconds, time.monotonic()
            used = _used(usage, prompt)
            if exchange.left and exchange.admitted is not None and not used:
                used = tokens  # the engine worked for it, nobody knows how much
            await self.limits.settle(grant, used)

    def current(self) -> ServedModel:
        """What would answer a caller who is on no trial.

        Raises:
            ApiError: 503, nothing would.
            StateUnavailable: that is not known.
        """
        state = self.watch.state
        return self.fleet.served(state.alias(self.model_name).primary, state.stopped)

    @contextmanager
    def live(
        self,
        stop: Callable[[ApiError], None],
        engines: list[Monitor],
        principal: Principal | None,
        *,
        stream: bool,
    ) -> Iterator[None]:
        """While engines are asked for an answer, so that `enforce` finds what stops it."""
        digests = frozenset(engine.served.model for engine in engines if engine.served)
        self._running[stop] = Running(digests, principal, stream)
        try:
            yield
        finally:
            del self._running[stop]

    @property
    def streams(self) -> int:
        """Event streams that are being answered."""
        return sum(running.stream for running in self._running.values())

    def enforce(self, state: State) -> None:
        """End the answers of models that this state has stopped, and of whom it lets in no more."""
        for stop, running in self._running.items():
            if running.digests & state.stopped:
                stop(model_stopped())
            elif running.principal is not None and state.ended(running.principal):
                stop(_ended(running.principal))

    def _candidates(self, principal: Principal, request: Prepared) -> list[Monitor]:
        state = self.watch.state
        if state.ended(principal):  # while it waited
            raise _ended(principal)
        digest = self.fleet.target(state.alias(self.model_name), principal.subject)
        return self.fleet.choose(digest, state.stopped, partial(_unfit, request))

    def _decisions(self, principal: Principal, chosen: ServedModel | None) -> tuple[str, ...]:
        """What the house's rules made of a request, as codes."""
        canary = self.watch.state.alias(self.model_name).canary
        trial = chosen is not None and chosen.model == canary
        return (f"class_{principal.priority}", *(("canary",) if trial else ()))


def _ended(principal: Principal) -> ApiError:
    return key_revoked() if principal.method == "api_key" else locked_out()


def _used(usage: Usage, prompt: int) -> int:
    """Tokens that a request is known to have used; its prompt counts from the first answer on.

    `prompt`: its estimate, for an engine that has not said.
    """
    if usage.completion_tokens is not None and usage.prompt_tokens is None:
        usage.prompt_tokens = prompt
    return (usage.prompt_tokens or 0) + (usage.completion_tokens or 0)


def _unfit(request: Prepared, served: ServedModel) -> ApiError | None:
    """Why an engine would refuse a request, as far as that is certain without its tokens."""
    if request.tools and served.tools is False:
        return tools_not_offered()
    window = served.max_model_len
    if window is not None and request.max_tokens is not None and request.max_tokens > window:
        return too_long(window, request.limit_field)
    return None
