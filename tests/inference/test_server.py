"""The HTTP server of a process: it sleeps, and what ends it wakes it up."""

from __future__ import annotations

import asyncio
import signal

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


async def test_answers_are_dated(gateway) -> None:
    async with gateway.session.get(f"{gateway.url}/livez") as answer:
        assert answer.headers["Date"].endswith("GMT")
