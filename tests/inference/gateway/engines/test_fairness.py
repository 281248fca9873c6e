"""Shares of a full engine follow what requests truly cost, whatever their clients ask for.

Each caller has more requests waiting than the engine has places, and is judged by the answers it
got until all callers together had so many.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from mock_engine import MockConfig, running

from bedside_inference.config import AdmissionConfig

PLACES = 4
CONNECTIONS = 8
TRUE = 16
"""Tokens of every answer."""
MOCK = MockConfig(first_token_ms=2, inter_token_ms=0, tokens=TRUE)
Ask = Callable[[str], Awaitable[None]]


@pytest.fixture
def full(config):
    """The configuration of a house whose engine is soon full."""
    admission = AdmissionConfig(max_running=PLACES, emergency_reserve=0)
    return config.model_copy(update={"admission": admission})


@asynccontextmanager
async def clients(door):
    """A session with a connection for each request."""
    await door.looked()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        door, door.session = door, session
        yield


async def contest(asks: dict[str, Ask], total: int) -> Counter[str]:
    """How many of so many answers went to each caller."""
    got: Counter[str] = Counter()
    over = asyncio.Event()

    async def keep_asking(name: str, ask: Ask) -> None:
        while not over.is_set():
            await ask(name)
            if not over.is_set():
                got[name] += 1
            if got.total() >= total:
                over.set()

    async with asyncio.timeout(120), asyncio.TaskGroup() as group:
        for name, ask in asks.items():
            for _ in range(CONNECTIONS):
                group.create_task(keep_asking(name, ask))
    return got


def asking(door, key: str, **changes: Any) -> Ask:
    """Asks for a whole answer."""

    async def ask(name: str) -> None:
        body = {"model": "test", "messages": [{"role": "user", "content": "Hallo"}], **changes}
        headers = {"Authorization": f"Bearer {key}"}
        async with door.post(json.dumps(body).encode(), headers=headers) as answer:
            assert answer.status == 200
            await answer.read()

    return ask


async def test_a_limit_left_out_costs_nothing(home, full, open_gateway, make_key) -> None:
    one, other = make_key().secret, make_key().secret
    async with running(full, home, MOCK), open_gateway(full) as door, clients(door):
        asks = {"none": asking(door, one), "exact": asking(door, other, max_tokens=TRUE)}
        got = await contest(asks, 600)
    assert got["none"] / got["exact"] == pytest.approx(1, rel=0.1)


async def test_emergency_against_batch_is_its_weight(home, full, open_gateway, make_key) -> None:
    emergency = make_key(priority="emergency").secret
    batch = make_key(priority="batch").secret
    async with running(full, home, MOCK), open_gateway(full) as door, clients(door):
        asks = {"emergency": asking(door, emergency), "batch": asking(door, batch, max_tokens=TRUE)}
        got = await contest(asks, 1020)
    assert got["emergency"] / got["batch"] == pytest.approx(16, rel=0.15)


async def answer_with_usage(request: web.Request) -> web.StreamResponse:
    """An engine that stops by itself, as a model does, far below any limit."""
    await asyncio.sleep(0.005)
    usage = {"prompt_tokens": 2, "completion_tokens": TRUE, "total_tokens": TRUE + 2}
    choice = {"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}
    return web.json_response({"object": "chat.completion", "choices": [choice], "usage": usage})


@pytest.mark.parametrize("limits", [(TRUE, 3000), (None, 3000)])
async def test_nor_does_a_limit_that_is_not_needed(
    engine, full, open_gateway, make_key, limits
) -> None:
    engine.script = answer_with_usage
    async with open_gateway(full) as door:
        asks = {
            str(limit): asking(door, make_key().secret, **({"max_tokens": limit} if limit else {}))
            for limit in limits
        }
        async with clients(door):
            got = await contest(asks, 600)
    first, second = got.values()
    assert first / second == pytest.approx(1, rel=0.1)


def streaming(door, key: str, *, leaves: bool, **changes: Any) -> Ask:
    """Asks for a stream, and leaves it after as many tokens as others get."""

    async def ask(name: str) -> None:
        said = [{"role": "user", "content": name}]
        body = {"model": "test", "stream": True, "messages": said, **changes}
        headers = {"Authorization": f"Bearer {key}"}
        async with door.post(json.dumps(body).encode(), headers=headers) as answer:
            seen = 0
            while piece := await answer.content.readany():
                seen += piece.count(b"data:")
                if leaves and seen >= TRUE:
                    answer.close()
                    return

    return ask


@pytest.mark.parametrize("how", ["leaves", "fails"])
async def test_what_has_no_end_counts_too(engine, home, full, open_gateway, make_key, how) -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        odd = (await request.json())["messages"][0]["content"] == "odd"
        response = await engine.open_stream(request)
        await response.write(engine.chunk("a") * TRUE)
        await asyncio.sleep(60 if odd and how == "leaves" else 0.005)
        error = b'data: {"error": {"message": "x", "code": 500}}\n\n' if odd else b""
        await response.write(error + b"data: [DONE]\n\n")
        return response

    engine.script = stream
    keys = {name: make_key() for name in ("odd", "plain")}
    async with open_gateway(full) as door, clients(door):
        asks = {
            "odd": streaming(door, keys["odd"].secret, leaves=how == "leaves"),
            "plain": streaming(door, keys["plain"].secret, leaves=False, max_tokens=TRUE),
        }
        got = await contest(asks, 600)
    assert got["odd"] / got["plain"] == pytest.approx(1, rel=0.1)
