"""How fast the gateway keeps what it promises in seconds.

    .venvs/dev/bin/python bench/gateway/promises.py

Tests prove that these things happen and leave the clock alone, because machines stall. Measured:

- from a client's leaving until the engine runs nothing, on each route and in each phase;
- from a change in the state database until a revoked key is refused, and until the stream of a
  stopped model has ended and a further request is refused.

The mock engine's answers take an hour, or a minute where tokens shall come all the time, so that
nothing ends by itself. The exit code is 1 if something took longer than promised.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import uvloop
from load import Connection, connect, spread
from peers import LOAD_CORES, MODEL, House, Peer, machine, running_in

from bedside_core.console import say, table
from bedside_core.progress import Progress
from bedside_inference import aliases, keys
from bedside_inference.config import StateConfig
from bedside_inference.state.store import Store

RESULTS = Path(__file__).parents[1] / "results" / "promises.json"
TIMES = 20
HOUR_MS = 3_600_000
TOKEN_MS, TOKENS = 20, 3000
STREAMS = 32
PATIENCE_SECONDS = 60
LEAVING, STOPPING, REVOKING = 1, 1, 60
"""Seconds, promised."""

BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "Guten Tag"}]},
    "/v1/completions": {"prompt": "Guten Tag"},
    "/v1/responses": {"input": "Guten Tag"},
    "/v1/embeddings": {"input": "Guten Tag"},
}
STREAMING = tuple(BODIES)[:3]

LOOK_SECONDS = StateConfig().poll_seconds
Measure = Callable[[], Awaitable[float]]


class Pending:
    """A request under way at the gateway."""

    def __init__(self, connection: Connection, request: bytes, *, stream: bool) -> None:
        self.connection = connection
        self.begun = asyncio.Event()
        connection.began = self.begun.set
        due = time.perf_counter()
        self.task = asyncio.create_task(connection.ask(request, due, stream=stream, patience=3600))

    @classmethod
    async def at(cls, gateway: Peer, path: str, *, stream: bool) -> Pending:
        body = {"model": MODEL, **BODIES[path]}
        if stream:
            body |= {"stream": True}
        if path == STREAMING[0]:
            body |= {"max_tokens": TOKENS}
        request = gateway.target.post(path, body)
        return cls(await connect(gateway.target), request, stream=stream)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.001)


def leaving(gateway: Peer, engine: Peer, path: str, *, stream: bool, begun: bool) -> Measure:
    """Leave once the engine works and, if `begun`, its first token has come."""

    async def measure() -> float:
        asked = await Pending.at(gateway, path, stream=stream)
        if begun:
            await asyncio.wait_for(asked.begun.wait(), PATIENCE_SECONDS)
        await until(lambda: running_in(engine) == 1)
        left = time.perf_counter()
        asked.connection.close()
        await until(lambda: running_in(engine) == 0)
        seconds = time.perf_counter() - left
        await asked.task
        return seconds

    return measure


def get(gateway: Peer, path: str, key: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.target.port, timeout=10)
    with closing(connection):
        connection.request("GET", path, headers={"Authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        return answer.status, answer.read()


async def any_moment() -> None:
    """The gateway has just looked at the state; wait for some part of the time to its next look."""
    await asyncio.sleep(random.uniform(0, LOOK_SECONDS))


def unaudited(action: str, **ids: str | int | None) -> None:
    """What these changes are is not measured here."""


def revoking(gateway: Peer, store: Store) -> Measure:
    """Revoke a key that is in use."""

    async def measure() -> float:
        made = keys.create(store, keys.Scope(), days=1, audit=unaudited)
        await until(lambda: get(gateway, "/v1/models", made.secret)[0] == 200)
        await any_moment()
        keys.revoke(store, made.id, audit=unaudited)
        revoked = time.perf_counter()
        await until(lambda: get(gateway, "/v1/models", made.secret)[0] == 401)
        return time.perf_counter() - revoked

    return measure


def stopping(gateway: Peer, store: Store, streams: int) -> Measure:
    """Stop a model in the middle of its streams."""

    async def measure() -> float:
        await until(lambda: get(gateway, "/readyz", "")[0] == 200)
        digest = json.loads(get(gateway, "/readyz", "")[1])["model"]
        asked = [await Pending.at(gateway, STREAMING[0], stream=True) for _ in range(streams)]
        for one in asked:
            await asyncio.wait_for(one.begun.wait(), PATIENCE_SECONDS)
        await any_moment()
        aliases.stop(store, digest, audit=unaudited)
        stopped = time.perf_counter()
        await asyncio.wait_for(asyncio.wait({one.task for one in asked}), PATIENCE_SECONDS)
        refused = await Pending.at(gateway, STREAMING[0], stream=True)
        answer = await asyncio.wait_for(refused.task, PATIENCE_SECONDS)
        seconds = time.perf_counter() - stopped
        if answer.status != 503:
            raise AssertionError(f"a stopped model answers {answer.status}")
        aliases.resume(store, digest, audit=unaudited)
        return seconds

    return measure


async def repeat(name: str, measure: Measure, promised: float) -> dict[str, Any]:
    seconds = []
    with Progress(name, total=TIMES, unit="time") as progress:
        for _ in range(TIMES):
            seconds.append(await measure())
            progress.update()
    kept = max(seconds) < promised
    return {"what": name, "times": TIMES, "ms": spread(seconds), "promised_seconds": promised,
            "kept": kept}  # fmt: skip


async def begun(house: House, gateway: Peer, engine: Peer) -> list[dict[str, Any]]:
    """With an engine that gives its first token at once and then nothing."""
    found = []
    for path in STREAMING:
        for name, stream in (("in its stream", True), ("without streaming", False)):
            measure = leaving(gateway, engine, path, stream=stream, begun=stream)
            found.append(await repeat(f"left {name}, {path}", measure, LEAVING))
    with closing(Store.open(StateConfig(), Path(house.environment["BEDSIDE_HOME"]))) as store:
        found.append(await repeat("model stopped", stopping(gateway, store, 1), STOPPING))
        found.append(await repeat("key revoked", revoking(gateway, store), REVOKING))
    return found


async def busy(house: House, gateway: Peer, engine: Peer) -> list[dict[str, Any]]:
    """With an engine that gives tokens all the time."""
    leave = leaving(gateway, engine, STREAMING[0], stream=True, begun=True)
    found = [await repeat(f"left between tokens, {STREAMING[0]}", leave, LEAVING)]
    with closing(Store.open(StateConfig(), Path(house.environment["BEDSIDE_HOME"]))) as store:
        name = f"model stopped, {STREAMS} streams between tokens"
        found.append(await repeat(name, stopping(gateway, store, STREAMS), STOPPING))
    return found


async def silent(house: House, gateway: Peer, engine: Peer) -> list[dict[str, Any]]:
    """With an engine that gives nothing."""
    found = []
    for path in BODIES:
        stream = path in STREAMING
        measure = leaving(gateway, engine, path, stream=stream, begun=False)
        found.append(await repeat(f"left before the first token, {path}", measure, LEAVING))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    facts = machine()
    os.sched_setaffinity(0, LOAD_CORES)
    found: list[dict[str, Any]] = []
    parts = ((begun, 0, HOUR_MS), (busy, 0, TOKEN_MS), (silent, HOUR_MS, HOUR_MS))
    for part, first, then in parts:
        mock = {"first_token_ms": first, "inter_token_ms": then}
        with tempfile.TemporaryDirectory(prefix="bedside-promises-") as directory:
            house = House(Path(directory), {"mock": mock})
            with house.mock_engine() as engine, house.gateway() as gateway:
                found += uvloop.run(part(house, gateway, engine))
    arguments.results.parent.mkdir(exist_ok=True)
    result = {"machine": facts, "promises": found}
    arguments.results.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    rows = [["what", "p50 ms", "max ms", "promised s", "kept"]]
    rows += [
        [one["what"], *(str(one["ms"][name]) for name in ("p50", "max")),
         str(one["promised_seconds"]), "yes" if one["kept"] else "NO"]
        for one in found
    ]  # fmt: skip
    say(table(rows))
    sys.exit(0 if all(one["kept"] for one in found) else 1)


if __name__ == "__main__":
    main()
