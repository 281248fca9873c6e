"""An engine is ready while it gets work done, not while its HTTP server answers."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiohttp import web

from bedside_inference.config import HealthConfig, socket_path
from bedside_inference.gateway.engine_client import EngineClient
from bedside_inference.gateway.monitor import Condition, Monitor

PATIENT = {"interval_seconds": 0.01, "strikes": 3, "stall_seconds": 0.05, "canary_seconds": 60,
           "canary_timeout_seconds": 0.05}  # fmt: skip


@pytest.fixture
async def watching(config, home):
    """Makes a monitor of the engine at its usual socket; nobody looks but the test."""
    clients = []

    async def make(**changes) -> Monitor:
        client = EngineClient(str(socket_path(config, home)), connect_seconds=1)
        running = client.running()
        await running.__aenter__()
        clients.append(running)
        return Monitor(client, HealthConfig(**PATIENT | changes), "test")

    yield make
    for running in clients:
        await running.__aexit__(None, None, None)


async def look(monitor: Monitor, times: int = 1, pause: float = 0.0) -> Condition:
    for _ in range(times):
        await monitor.look()
        await asyncio.sleep(pause)
    return monitor.condition


async def test_nobody_listens(watching) -> None:
    monitor = await watching()
    assert await look(monitor) is Condition.LOADING
    assert monitor.remaining_load() is None
    assert monitor.served is None


async def test_a_busy_engine_that_stands_still(engine, watching) -> None:
    monitor = await watching()
    assert await look(monitor) is Condition.READY
    assert monitor.served == engine.served
    engine.running = 1
    assert await look(monitor) is Condition.READY
    assert await look(monitor, 2, 0.06) is Condition.READY  # damped
    assert await look(monitor, 3, 0.02) is Condition.STALLED
    engine.steps += 1
    assert await look(monitor) is Condition.READY


async def test_a_busy_engine_that_gets_on(engine, watching) -> None:
    monitor = await watching()
    engine.running = 1
    for _ in range(8):
        engine.steps += 1
        assert await look(monitor, 1, 0.02) is Condition.READY


async def test_an_answer_that_comes_is_progress_too(engine, watching) -> None:
    """Whatever the counters say: a hung one may even read that nothing runs."""
    monitor = await watching()
    await look(monitor)
    monitor.in_flight = 1
    for _ in range(8):
        monitor.progress()
        assert await look(monitor, 1, 0.02) is Condition.READY
    assert await look(monitor, 8, 0.02) is Condition.STALLED


async def test_an_idle_engine_is_asked_for_one_token(engine, watching) -> None:
    monitor = await watching(canary_seconds=0.03)
    assert await look(monitor, 2, 0.05) is Condition.READY
    assert [json.loads(body)["max_tokens"] for body in engine.bodies] == [1]
    assert await look(monitor) is Condition.READY  # it has just worked

    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.Response()

    engine.script = hang
    assert await look(monitor, 4, 0.04) is Condition.STALLED
    await engine.freed()
    engine.script = type(engine).__dataclass_fields__["script"].default
    assert await look(monitor) is Condition.READY


async def test_a_refused_canary_is_an_answer(engine, watching) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"message": "no chat template"}}, status=400)

    engine.script = refuse
    monitor = await watching(canary_seconds=0.01)
    assert await look(monitor, 6, 0.02) is Condition.READY
    assert engine.bodies


async def test_a_server_that_answers_without_an_engine(engine, watching) -> None:
    monitor = await watching()
    await look(monitor)
    engine.healthy = False
    assert await look(monitor, 2) is Condition.READY
    assert await look(monitor) is Condition.LOADING
    await asyncio.sleep(0.05)
    engine.healthy = True
    assert await look(monitor) is Condition.READY
    assert monitor.load_seconds is not None
    assert 0.04 < monitor.load_seconds < 5
    engine.healthy = False
    await look(monitor, 3)
    assert monitor.remaining_load() == 1  # at least a second, by the last time


async def test_an_engine_that_is_gone_is_not_waited_for(engine, watching) -> None:
    monitor = await watching()
    changes: list[Condition] = []
    await look(monitor)
    monitor.on_change = lambda: changes.append(monitor.condition)
    await engine.runner.cleanup()
    assert await look(monitor) is Condition.LOADING
    assert changes == [Condition.LOADING]
