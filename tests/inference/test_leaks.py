"""A secret goes in through every door and comes out in no log, metric or error."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys

import pytest
from aiohttp import web

from bedside_core import log

CANARY = "Kanarienvogel4711"


@pytest.fixture
def logged(monkeypatch):
    """Everything that any logger writes, as the command line configures logging."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    log.configure(level="DEBUG")
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


def bodies() -> list[bytes]:
    """Requests that hold the canary in text, keys, types and broken syntax."""
    good = {"model": "test", "messages": [{"role": "user", "content": CANARY}]}
    return [
        json.dumps(good).encode(),
        json.dumps({**good, "stream": True}).encode(),
        json.dumps({**good, "stream": CANARY}).encode(),
        json.dumps({**good, CANARY: CANARY}).encode(),
        json.dumps({**good, "model": CANARY}).encode(),
        json.dumps(good).encode()[:-3],
        CANARY.encode() + b"\xff",
        CANARY.encode() * 500,
    ]


async def completion(request: web.Request) -> web.StreamResponse:
    return web.json_response({"choices": []})


async def echo_error(request: web.Request) -> web.StreamResponse:
    error = {"message": CANARY, "type": CANARY, "param": CANARY, "code": CANARY}
    return web.json_response({"error": error}, status=400)


async def echo_crash(request: web.Request) -> web.StreamResponse:
    return web.Response(status=500, text=f"Traceback: {CANARY}")


async def abort(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def wait(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(30)
    return web.Response()


@pytest.mark.parametrize("script", [completion, echo_error, echo_crash, abort])
async def test_canary(engine, gateway, logged, script) -> None:
    engine.script = script
    answers = []
    for body in bodies():
        for headers in ({}, {"Authorization": f"Bearer {CANARY}"}, {"X-Request-Id": CANARY}):
            path = f"/v1/chat/completions?q={CANARY}"
            async with gateway.post(body, path, headers) as answer:
                answers.append(str(answer.headers) + await answer.text())
    for path in (f"/{CANARY}", f"/v1/{CANARY}", f"/v1/models/{CANARY}"):
        async with gateway.post(b"{}", path, {"Cookie": CANARY}) as answer:
            answers.append(str(answer.headers) + await answer.text())
    await found_nowhere(gateway, logged, answers)


async def test_canary_of_a_client_that_leaves(engine, gateway, logged) -> None:
    engine.script = wait

    async def ask() -> None:
        async with gateway.post(bodies()[0]):
            pass

    request = asyncio.create_task(ask())
    await engine.arrived.wait()
    request.cancel()
    await engine.freed()
    await asyncio.sleep(0.05)
    assert "client_left" in logged.getvalue()
    await found_nowhere(gateway, logged, [])


async def test_canary_of_a_bug(engine, gateway, logged, monkeypatch) -> None:
    def broken(raw: bytes, *others: object) -> None:
        raise ValueError(raw.decode())

    monkeypatch.setattr("bedside_inference.gateway.app.prepare_body", broken)
    async with gateway.post(bodies()[0]) as answer:
        answers = [await answer.text()]
    assert "ValueError" in logged.getvalue()
    await found_nowhere(gateway, logged, answers)


async def found_nowhere(gateway, logged, answers: list[str]) -> None:
    async with gateway.session.get(f"{gateway.url}/metrics") as answer:
        answers.append(await answer.text())
    assert '"route": "/v1/chat/completions"' in logged.getvalue()
    for text in (*answers, logged.getvalue()):
        assert CANARY not in text
        assert gateway.key not in text
