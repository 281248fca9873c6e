"""The HTTP server of a process: it sleeps, and what ends it wakes it up."""

from __future__ import annotations

import asyncio
import signal
import socket
from contextlib import closing, suppress

import aiohttp
import pytest
from aiohttp import web

from bedside_inference.gateway import server as module


@pytest.fixture
def asleep(monkeypatch) -> None:
    monkeypatch.setattr(module, "TICK_SECONDS", 3600)


async def test_a_signal_wakes_it(asleep, config, home) -> None:
    server = module.server(config, home)
    running = asyncio.create_task(server.main_loop())
    await asyncio.sleep(0.05)
    assert not running.done()
    server.handle_exit(signal.SIGTERM, None)
    async with asyncio.timeout(30):
        await running


async def test_a_signal_before_it_runs_is_not_lost(asleep, config, home) -> None:
    server = module.server(config, home)
    server.handle_exit(signal.SIGTERM, None)
    async with asyncio.timeout(30):
        await server.main_loop()


async def test_who_comes_as_it_ends_does_not_stay(config, open_gateway) -> None:
    """Accepted in that instant, and unknown when the others were told to go."""
    patient = config.gateway.model_copy(update={"drain_seconds": 60})
    loop, come = asyncio.get_running_loop(), []
    async with open_gateway(config.model_copy(update={"gateway": patient})) as gateway:
        gateway.end()
        for _ in range(6):
            with suppress(ConnectionRefusedError):
                come.append(socket.create_connection(("127.0.0.1", gateway.port)))
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            for connection in come:
                connection.setblocking(False)
                with closing(connection), suppress(ConnectionResetError):
                    assert await loop.sock_recv(connection, 1) == b""
    assert come


async def test_answers_are_dated(gateway) -> None:
    async with gateway.session.get(f"{gateway.url}/livez") as answer:
        assert answer.headers["Date"].endswith("GMT")


async def test_until_the_last_answer_has_ended_everybody_else_is_told(
    engine, config, open_gateway
) -> None:
    """Nobody is refused a connection: with one gateway there is no other that could answer."""
    patient = config.gateway.model_copy(update={"drain_seconds": 60})
    go_on = asyncio.Event()

    async def wait_then_finish(request: web.Request) -> web.StreamResponse:
        response = await engine.open_stream(request)
        await response.write(engine.chunk("a"))
        await go_on.wait()
        await response.write(b"data: [DONE]\n\n")
        return response

    engine.script = wait_then_finish
    async with open_gateway(config.model_copy(update={"gateway": patient})) as gateway:
        async with gateway.chat(stream=True) as running:
            await running.content.readexactly(len(engine.marked(engine.chunk("a"))))
            async with aiohttp.ClientSession() as kept:
                async with kept.get(f"{gateway.url}/readyz") as answer:
                    assert answer.status == 200
                gateway.end()
                while answer.status == 200:
                    async with kept.get(f"{gateway.url}/readyz") as answer:
                        said = await answer.json()
            assert (answer.status, said) == (503, {"status": "gateway draining"})
            assert answer.headers["Retry-After"]
            assert answer.headers["Connection"] == "close"
            for path in ("/", "/metrics", "/v1/models", "/nothing"):
                async with gateway.session.get(f"{gateway.url}{path}") as answer:
                    assert (answer.status, await code_of(answer)) == (503, "gateway_draining")
                    assert answer.headers["Retry-After"]
            async with gateway.chat() as answer:
                assert (answer.status, await code_of(answer)) == (503, "gateway_draining")
            async with gateway.session.get(f"{gateway.url}/livez") as answer:
                assert answer.status == 200
            go_on.set()
            assert await running.content.read() == b"data: [DONE]\n\n"
        async with asyncio.timeout(30):
            with suppress(ConnectionRefusedError):
                while True:
                    socket.create_connection(("127.0.0.1", gateway.port)).close()
                    await asyncio.sleep(0.02)


async def code_of(answer: aiohttp.ClientResponse) -> str:
    return (await answer.json())["error"]["code"]
