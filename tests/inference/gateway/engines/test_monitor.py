"""An engine is ready while it gets work done, not while its HTTP server answers."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiohttp import web

from bedside_inference.config import HealthConfig
from bedside_inference.gateway.engines import client as engine_client
from bedside_inference.gateway.engines import monitor as watched
from bedside_inference.gateway.engines.client import EngineClient
from bedside_inference.gateway.engines.monitor import Condition, Monitor
from bedside_inference.paths import socket_path

PATIENT = {"failure_threshold": 3, "stall_seconds": 50, "idle_probe_seconds": 60_000}


class Clock:
    """Of the monitor; it stands still but for the pauses between looks."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


CLOCK = Clock()


@pytest.fixture
def watching(config, home, monkeypatch):
    """Makes a monitor of the engine at its usual socket; nobody looks but the test."""
    monkeypatch.setattr(watched, "time", CLOCK)
    monkeypatch.setattr(engine_client, "PROBE_SECONDS", 60)

    def make(**changes) -> Monitor:
        client = EngineClient(str(socket_path(config, home)), connect_seconds=60)
        return Monitor(client, HealthConfig(**PATIENT | changes), "test", bool)

    return make


async def look(monitor: Monitor, times: int = 1, pause: float = 0.0) -> Condition:
    for _ in range(times):
        await monitor.probe()
        CLOCK.now += pause
    return monitor.condition


async def test_nobody_listens(watching) -> None:
    monitor = watching()
    assert await look(monitor) is Condition.LOADING
    assert monitor.remaining_load() is None
    assert monitor.served is None


async def test_a_busy_engine_that_stands_still(engine, watching) -> None:
    monitor = watching()
    assert await look(monitor) is Condition.READY
    assert monitor.served == engine.served
    engine.running = 1
    assert await look(monitor) is Condition.READY
    assert await look(monitor, 2, 60) is Condition.READY  # damped
    assert await look(monitor, 3, 20) is Condition.STALLED
    engine.steps += 1
    assert await look(monitor) is Condition.READY


async def test_a_page_that_cannot_be_read_does_not_end_the_looking(
    engine, config, home, caplog
) -> None:
    client = EngineClient(str(socket_path(config, home)), connect_seconds=60)
    monitor = Monitor(
        client, HealthConfig(interval_seconds=0.02, failure_threshold=1), "test", bool
    )
    good, engine.page = engine.page, 'vllm:iteration_tokens_total_count{{engine="0"}} 1.2.3\n'
    watch = asyncio.create_task(monitor.watch())
    async with asyncio.timeout(30):
        for page, condition in ((engine.page, Condition.STALLED), (good, Condition.READY)):
            engine.page = page
            while monitor.condition is not condition:
                await asyncio.sleep(0.01)
    watch.cancel()
    assert "probing an engine failed" in caplog.text


async def test_a_busy_engine_that_gets_on(engine, watching) -> None:
    monitor = watching()
    engine.running = 1
    for _ in range(8):
        engine.steps += 1
        assert await look(monitor, 1, 20) is Condition.READY


async def test_an_answer_that_comes_is_progress_too(engine, watching) -> None:
    """Whatever the counters say: a hung one may even read that nothing runs."""
    monitor = watching()
    await look(monitor)
    monitor.in_flight = 1
    for _ in range(8):
        monitor.progress()
        assert await look(monitor, 1, 20) is Condition.READY
    assert await look(monitor, 8, 20) is Condition.STALLED


async def test_an_engine_that_answers_is_not_looked_at(engine, config, home) -> None:
    client = EngineClient(str(socket_path(config, home)), connect_seconds=60)
    monitor = Monitor(client, HealthConfig(interval_seconds=0.1, failure_threshold=1), "test", bool)
    watch = asyncio.create_task(monitor.watch())
    async with asyncio.timeout(30):
        while monitor.condition is not Condition.READY:
            await asyncio.sleep(0.01)
        engine.healthy = False
        for _ in range(100):
            monitor.progress()
            await asyncio.sleep(0.005)
            assert monitor.condition is Condition.READY
        while monitor.condition is Condition.READY:  # it is silent now
            await asyncio.sleep(0.01)
        engine.healthy = True
        while monitor.condition is not Condition.READY:  # what is down is looked at in any case
            monitor.progress()
            await asyncio.sleep(0.005)
    watch.cancel()


async def test_an_idle_engine_is_asked_for_one_token(engine, watching) -> None:
    monitor = watching(idle_probe_seconds=30)
    assert await look(monitor, 2, 50) is Condition.READY
    assert [json.loads(body)["max_tokens"] for body in engine.bodies] == [1]
    assert await look(monitor) is Condition.READY  # it has just worked

    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(600)
        return web.Response()

    engine.script = hang
    monitor.config = monitor.config.model_copy(update={"idle_probe_timeout_seconds": 0.05})
    assert await look(monitor, 4, 40) is Condition.STALLED
    await engine.freed()
    engine.script = type(engine).__dataclass_fields__["script"].default
    monitor.config = monitor.config.model_copy(update={"idle_probe_timeout_seconds": 60})
    assert await look(monitor) is Condition.READY


async def test_a_refused_probe_is_an_answer(engine, watching) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"message": "no chat template"}}, status=400)

    engine.script = refuse
    monitor = watching(idle_probe_seconds=10)
    assert await look(monitor, 6, 20) is Condition.READY
    assert engine.bodies


async def test_a_server_that_answers_without_an_engine(engine, watching) -> None:
    monitor = watching()
    await look(monitor)
    engine.healthy = False
    assert await look(monitor, 2) is Condition.READY
    assert await look(monitor) is Condition.LOADING
    CLOCK.now += 5
    engine.healthy = True
    assert await look(monitor) is Condition.READY
    assert monitor.load_seconds == 5
    engine.healthy = False
    await look(monitor, 3)
    assert monitor.remaining_load() == 5  # by the last time
    CLOCK.now += 60
    assert monitor.remaining_load() == 1  # at least a second


async def test_an_engine_that_is_gone_is_not_waited_for(engine, watching) -> None:
    monitor = watching()
    changes: list[Condition] = []
    await look(monitor)
    monitor.on_change = lambda: changes.append(monitor.condition)
    await engine.runner.cleanup()
    assert await look(monitor) is Condition.LOADING
    assert changes == [Condition.LOADING]


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take what comes and say nothing, as a machine does that is busy with loading."""
    await reader.read()
    writer.close()


async def test_what_loads_is_never_called_stalled(config, home, watching, monkeypatch) -> None:
    """However slowly or wrongly something at its address answers before the model is there."""
    monkeypatch.setattr(engine_client, "PROBE_SECONDS", 0.05)
    monitor = watching()
    path = socket_path(config, home)
    path.parent.mkdir(mode=0o700)
    async with await asyncio.start_unix_server(silent, str(path)):
        assert {await look(monitor) for _ in range(5)} == {Condition.LOADING}
    path.unlink()

    async def closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_unix_server(closes, str(path)):
        assert {await look(monitor) for _ in range(5)} == {Condition.LOADING}


async def never(*_: object, **__: object) -> None:
    await asyncio.sleep(600)


async def test_an_engine_whose_connections_nobody_takes(engine, watching, monkeypatch) -> None:
    """As behind a Kubernetes service without a ready pod: it was restarted and loads."""
    monitor = watching()
    assert await look(monitor) is Condition.READY
    monkeypatch.setattr(engine_client, "PROBE_SECONDS", 0.05)
    monkeypatch.setattr(monitor.client, "_call", never)
    assert await look(monitor, 2) is Condition.READY  # damped
    assert {await look(monitor) for _ in range(5)} == {Condition.LOADING}


async def test_a_fresh_engine_has_three_tries_to_show_that_it_works(engine, watching) -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(600)
        return web.Response()

    monitor = watching(idle_probe_timeout_seconds=0.05)
    engine.healthy = False
    assert await look(monitor, 5) is Condition.LOADING
    engine.healthy, engine.script = True, hang
    assert await look(monitor, 2) is Condition.LOADING
    assert await look(monitor) is Condition.STALLED
    await engine.freed()


async def test_an_engine_that_drains(engine, watching) -> None:
    monitor = watching()
    await look(monitor)
    monitor.load_seconds = 40
    engine.healthy = False
    engine.served = engine.served.model_copy(update={"draining": True})
    assert await look(monitor) is Condition.DRAINING  # said, so at once
    CLOCK.now += 25
    assert monitor.remaining_load() == 40
    await engine.runner.cleanup()
    assert await look(monitor) is Condition.LOADING
    CLOCK.now += 10
    assert monitor.remaining_load() == 30
