"""The HTTP server of a process: it sleeps, and what ends it wakes it up."""

from __future__ import annotations

import asyncio
import signal
import socket
from contextlib import closing, suppress

import pytest

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
