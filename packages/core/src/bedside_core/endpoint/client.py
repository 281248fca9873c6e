"""Ask an OpenAI-compatible server many things, each of them once.

Covered: bounded concurrency; tries that wait as the server wishes (`Retry-After`, `x-should-retry`)
or longer each time; a limit for each try; answers on disk (see cache.py), so that the same work
after `kill -9` asks only for what is missing; a server whose model changes on the way; nothing
but the one address that was named: no proxy, no redirect. Errors name a request by its hash.
Not covered: streams. Equal requests get one answer; who wants several gives each a `seed`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal

import httpx2

from bedside_core import log
from bedside_core.endpoint.cache import AnswerCache
from bedside_core.endpoint.config import EndpointConfig
from bedside_core.endpoint.connection import Peer, hopeless, open_http, unreachable
from bedside_core.endpoint.responses import HOPELESS, Body, Failure, answer_of, digest_of
from bedside_core.errors import InputError
from bedside_core.progress import Progress

logger = logging.getLogger(__name__)

Route = Literal["/v1/chat/completions", "/v1/completions"]

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0
PATIENCE_SECONDS = 900.0
"""For how long in all a request waits because the server says so."""
GIVE_UP = 10
"""Requests without an answer, one after the other, after which it is the server and not them."""


class UnansweredError(InputError):
    """One request has no answer; others may have theirs."""

    def __init__(self, key: str, reason: str) -> None:
        """`reason`: in a word, fit to be counted."""
        super().__init__(f"request {key[:12]} has no answer ({reason}) - look at the server's log")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one of many requests: an answer, or the reason why there is none."""

    number: int
    """Its place among those that were given."""
    answer: Body | None = field(repr=False)
    reason: str | None = None
    cached: bool = False


@asynccontextmanager
async def connected(
    config: EndpointConfig, cache: Path, reduce: Callable[[Body], Body] = lambda answer: answer
) -> AsyncIterator[Endpoint]:
    """A server that is there and whose model is known; answers are kept in the folder `cache`.

    Args:
        config: the server.
        cache: of what was answered.
        reduce: an answer to what may be kept and given back of it.

    Raises:
        ConfigError: the model's digest is not known.
        InputError: nobody answers, or another model than the stated one.
    """
    async with open_http(config) as http:
        peer = await Peer.found(http, config)
        with AnswerCache(cache, peer.digest) as answers:
            yield Endpoint(config, http, peer, answers, reduce)


class Endpoint:
    """One model behind one server; `connected` makes it."""

    def __init__(
        self,
        config: EndpointConfig,
        http: httpx2.AsyncClient,
        peer: Peer,
        cache: AnswerCache,
        reduce: Callable[[Body], Body],
    ) -> None:
        self.config, self.peer = config, peer
        self._http, self._cache, self._reduce = http, cache, reduce
        self._slots = asyncio.Semaphore(config.concurrency)
        self._pause_until = 0.0
        self._unanswered = 0
        """In a row."""

    async def ask(self, route: Route, body: Body) -> Body:
        """The answer to one request, from the cache or the server.

        Raises:
            UnansweredError: this request has none.
            InputError: the server is gone, fails every request, or serves another model.
            ConfigError: it does not know this key, this model or this route.
        """
        return (await self._ask(route, body))[0]

    async def ask_all(
        self, route: Route, bodies: Iterable[Body], *, total: int, name: str = "ask"
    ) -> AsyncGenerator[Outcome]:
        """Answers in the order in which they arrive; of `bodies` only a few are held at a time.

        Raises:
            InputError: the server is gone, fails every request, or serves another model.
            ConfigError: it does not know this key, this model or this route.
        """
        numbered, running = enumerate(bodies), dict[asyncio.Task[tuple[Body, bool]], int]()
        cached = unanswered = 0
        with Progress(name, total=total, unit="answer") as progress:
            try:
                while True:
                    for number, body in islice(numbered, self.config.concurrency - len(running)):
                        running[asyncio.create_task(self._ask(route, body))] = number
                    if not running:
                        return
                    done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    for task in sorted(done, key=running.__getitem__):
                        outcome = _outcome(running.pop(task), task)
                        cached += outcome.cached
                        unanswered += outcome.answer is None
                        progress.update(1, cached=cached, unanswered=unanswered)
                        yield outcome
            finally:
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)

    async def _ask(self, route: Route, body: Body) -> tuple[Body, bool]:
        """An answer, and whether it was there already."""
        asked = {"model": self.config.model, **body}
        content = json.dumps(asked, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
        key = self._cache.key(route, content)
        found = await asyncio.to_thread(self._cache.get, key)
        if found is not None:
            return found, True
        async with self._cache.claimed(key):
            found = await asyncio.to_thread(self._cache.get, key)
            if found is not None:
                return found, True
            async with self._slots:
                answer = self._reduce(await self._fetch(key, route, content))
            await asyncio.to_thread(self._cache.put, key, answer)
            return answer, False

    async def _fetch(self, key: str, route: Route, content: bytes) -> Body:
        tries, patience = 0, PATIENCE_SECONDS
        while True:
            await asyncio.sleep(self._pause_until - time.monotonic())
            result = await self._once(route, content)
            if not isinstance(result, Failure):
                self._unanswered = 0
                return result
            if not result.again:
                raise self._refused(key, route, result)
            if result.after is None:
                tries += 1
                wait = _backoff(tries)
            else:
                wait = max(result.after, FIRST_WAIT_SECONDS)
                patience -= wait
            if tries > self.config.retries or patience < 0:
                raise self._given_up(key, result.reason)
            if result.after is not None:  # the server means its client, not this one request
                self._pause_until = max(self._pause_until, time.monotonic() + wait)
            facts = log.fields(request=key[:12], reason=result.reason, wait_seconds=round(wait, 1))
            logger.info("asked again", extra=facts)
            await asyncio.sleep(wait)

    async def _once(self, route: Route, content: bytes) -> Body | Failure:
        try:
            async with (
                asyncio.timeout(self.config.timeout_seconds),
                self._http.stream("POST", route, content=content) as response,
            ):
                result = await answer_of(response)
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            return Failure("unreachable")
        except TimeoutError:
            return Failure("timeout")
        except httpx2.RequestError:
            return Failure("broken_off")
        if not isinstance(result, Failure):
            self.peer.check(digest_of(response))
        return result

    def _refused(self, key: str, route: str, failure: Failure) -> Exception:
        if failure.status in HOPELESS:
            return hopeless(self.config, route, failure.status)
        return UnansweredError(key, failure.reason)

    def _given_up(self, key: str, reason: str) -> InputError:
        if reason == "unreachable":
            return unreachable(self.config)
        self._unanswered += 1
        if self._unanswered < GIVE_UP:
            return UnansweredError(key, reason)
        return InputError(
            f"{self.config.address}: {GIVE_UP} requests in a row have no answer (the last: "
            f"{reason}) - look at the server's log; the same command goes on from here"
        )


def _outcome(number: int, task: asyncio.Task[tuple[Body, bool]]) -> Outcome:
    try:
        answer, cached = task.result()
    except UnansweredError as error:
        return Outcome(number, None, error.reason)
    return Outcome(number, answer, cached=cached)


def _backoff(tries: int) -> float:
    wait = min(FIRST_WAIT_SECONDS * 2.0 ** min(tries - 1, 20), LONGEST_WAIT_SECONDS)
    return wait * random.uniform(0.75, 1)  # noqa: S311 - so that not all come back at once
