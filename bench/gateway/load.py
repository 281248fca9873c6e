"""The load generator: HTTP/1.1 written by hand on uvloop, so that it costs less than what it asks.

A whole client library would spend more on a stream than the gateway under test, and share its
machine. Nothing is parsed but the head, the length and the end.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

PROMPT = "Bitte fasse die Unterlagen zusammen. " * 20
LAST_CHUNK = b"0\r\n\r\n"
TIMEOUT_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go, and the key they show."""

    port: int
    key: str
    model: str
    source: str = "127.0.0.1"
    """Address of the client's side; one address has some 28,000 ports."""

    def request(self, *, stream: bool, tokens: int) -> bytes:
        """The bytes of one chat request."""
        asked = {
            "model": self.model,
            "messages": [{"role": "user", "content": PROMPT}],
            "max_tokens": tokens,
            "stream": stream,
        }
        return self.post("/v1/chat/completions", asked)

    def post(self, path: str, asked: dict[str, Any]) -> bytes:
        """The bytes of any request."""
        body = json.dumps(asked).encode()
        head = (
            f"POST {path} HTTP/1.1\r\n"
            f"Host: 127.0.0.1:{self.port}\r\n"
            f"Authorization: Bearer {self.key}\r\n"
            "Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request got; seconds count from when it was due."""

    good: bool
    status: int
    """0: none came before the connection ended."""
    first: float
    """Until the first byte of the body."""
    total: float


class Connection(asyncio.Protocol):
    """One keep-alive connection, one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.done: asyncio.Future[bool] | None = None
        self.began: Callable[[], None] | None = None
        self._restart()

    def _restart(self) -> None:
        self.head = b""
        self.status = 0
        self.left: int | None = None
        self.tail = b""
        self.first = math.nan

    @property
    def open(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio's.
        self.transport = cast(asyncio.Transport, transport)

    async def ask(
        self, request: bytes, due: float, *, stream: bool, patience: float = TIMEOUT_SECONDS
    ) -> Answer:
        """Send one request and read its answer to the end."""
        self._restart()
        self.done = asyncio.get_running_loop().create_future()
        if self.transport is None or not self.open:
            return Answer(False, 0, math.nan, time.perf_counter() - due)
        self.transport.write(request)
        try:
            ended = await asyncio.wait_for(self.done, patience)
        except TimeoutError:
            self.close()
            ended = False
        good = ended and self.status == 200 and (not stream or b"data: [DONE]" in self.tail)
        if not good:
            self.close()
        return Answer(good, self.status, self.first - due, time.perf_counter() - due)

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if not self.status:
            self.head += data
            head, found, data = self.head.partition(b"\r\n\r\n")
            if not found:
                return
            self.status = int(head[9:12])
            _, given, length = head.lower().partition(b"content-length:")
            self.left = int(length.partition(b"\r\n")[0]) if given else None
        if not data:
            return
        if math.isnan(self.first):
            self.first = time.perf_counter()
            if self.began:
                self.began()
        if self.left is None:
            self.tail = (self.tail + data)[-64:]
            ended = self.tail.endswith(LAST_CHUNK)
        else:
            self.left -= len(data)
            ended = self.left <= 0
        if ended:
            self._finish(True)

    def connection_lost(self, error: Exception | None) -> None:
        self._finish(False)

    def _finish(self, ended: bool) -> None:
        if self.done is not None and not self.done.done():
            self.done.set_result(ended)


async def connect(target: Target) -> Connection:
    """A new connection to a target.

    Raises:
        OSError: it does not take one.
    """
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(
        Connection, "127.0.0.1", target.port, local_addr=(target.source, 0)
    )
    return connection


class Load:
    """One kind of request, and the answers to it."""

    def __init__(self, target: Target, stream: bool, tokens: int) -> None:
        self.target, self.stream = target, stream
        self.request = target.request(stream=stream, tokens=tokens)
        self.answers: list[Answer] = []
        self.idle: list[Connection] = []

    async def one(self, due: float) -> None:
        """Ask once, on a connection that is free or new."""
        while self.idle:
            connection = self.idle.pop()
            if connection.open:
                break
        else:
            try:
                connection = await connect(self.target)
            except OSError:
                self.answers.append(Answer(False, 0, math.nan, time.perf_counter() - due))
                return
        self.answers.append(await connection.ask(self.request, due, stream=self.stream))
        if connection.open:
            self.idle.append(connection)

    async def leave(self, due: float) -> bool:
        """Ask once and leave at the first byte; returns whether there was one."""
        connection = await connect(self.target)
        connection.began = connection.close
        return not math.isnan((await connection.ask(self.request, due, stream=True)).first)

    async def closed(self, clients: int, seconds: float) -> None:
        """So many clients, each asking again as soon as it is answered."""
        end = time.perf_counter() + seconds

        async def client() -> None:
            while time.perf_counter() < end:
                await self.one(time.perf_counter())
                if not self.answers[-1].good:
                    await asyncio.sleep(0.05)

        await asyncio.gather(*(client() for _ in range(clients)))

    async def open(self, rate: float, seconds: float) -> None:
        """So many requests a second, whether or not the earlier ones are answered.

        Waiting for a slow answer would hide that those after it came late, too ("coordinated
        omission"), so every request counts from when it was due.
        """
        started = time.perf_counter()
        tasks = []
        for number in range(round(rate * seconds)):
            due = started + number / rate
            await asyncio.sleep(max(0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(self.one(due)))
        await asyncio.gather(*tasks)

    def close(self) -> None:
        for connection in self.idle:
            connection.close()
        self.idle.clear()


def spread(seconds: Sequence[float]) -> dict[str, float] | None:
    """Percentiles in milliseconds, by nearest rank; none of nothing."""
    values = sorted(value for value in seconds if not math.isnan(value))
    if not values:
        return None
    found = {
        f"p{share}": values[max(0, math.ceil(len(values) * share / 100) - 1)]
        for share in (50, 90, 99)
    }
    return {name: round(value * 1000, 3) for name, value in (*found.items(), ("max", values[-1]))}
