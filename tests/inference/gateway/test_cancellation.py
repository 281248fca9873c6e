"""Conformance: a client that leaves frees the engine at once and is accounted for.

Counted is what runs at the engine, on every route, in each phase of a request. Only its leaving
can free it within `freed`'s time: the engine goes on for ten minutes.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import ClientPayloadError, web

from bedside_inference.audit.journal import audit_directory
from bedside_inference.config import AdmissionConfig

ASKED = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "Hallo"}]},
    "/v1/completions": {"prompt": "Hallo"},
    "/v1/responses": {"input": "Hallo"},
    "/v1/embeddings": {"input": "Hallo"},
}
CHAT = "/v1/chat/completions"
STREAMING = [path for path in ASKED if path != "/v1/embeddings"]
QUEUED = 'bedside_gateway_queued{priority="ward"} 1.0'
FIRST = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'


@pytest.fixture
def records(config, home):
    """Waits for so many finished requests and returns their records."""

    async def wait(count: int) -> list[dict]:
        async with asyncio.timeout(30):
            while len(found := finished(audit_directory(config.audit, home))) < count:
                await asyncio.sleep(0.02)
        assert len(found) == count
        return found

    return wait


def finished(directory: Path) -> list[dict]:
    lines = [
        json.loads(line)
        for segment in sorted(directory.glob("segment-*.jsonl"))
        for line in segment.read_bytes().splitlines()
    ]
    return [line for line in lines if line["type"] == "request"]


def body(path: str, *, stream: bool) -> bytes:
    asked = {"model": "test", **ASKED[path]}
    return json.dumps(asked | {"stream": True} if stream else asked).encode()


async def think(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(600)
    raise AssertionError


async def speak(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(FIRST)
    return await think(request)


async def leaves(gateway, engine, path: str, *, stream: bool, after: bytes = b"") -> None:
    """Ask, leave once the engine works and `after` has come; wait until the engine is free."""
    engine.arrived.clear()
    async with gateway.post(body(path, stream=stream), path) as answer:
        if after:
            assert await answer.content.readexactly(len(after)) == after
        await asyncio.wait_for(engine.arrived.wait(), 30)
        assert engine.running == 1
        answer.close()
    await engine.freed()


async def leaves_unanswered(gateway, engine, path: str, *, stream: bool) -> None:
    engine.arrived.clear()
    waiting = asyncio.create_task(gateway.post(body(path, stream=stream), path).__aenter__())
    await asyncio.wait_for(engine.arrived.wait(), 30)
    assert engine.running == 1
    waiting.cancel()
    await engine.freed()


@pytest.mark.parametrize("path", STREAMING)
async def test_mid_stream(engine, gateway, records, path: str) -> None:
    engine.script = speak
    first = FIRST if path == "/v1/responses" else engine.marked(FIRST)
    await leaves(gateway, engine, path, stream=True, after=first)
    [record] = await records(1)
    assert (record["outcome"], record["disconnect_phase"]) == ("client_left", "streaming")
    assert record["route"] == path
    assert (record["status"], record["completion_tokens"]) == (200, 1)
    assert record["prompt_tokens"] > 0
    assert record["model_digest"] == engine.served.model


@pytest.mark.parametrize("path", STREAMING)
async def test_before_the_first_token(engine, gateway, records, path: str) -> None:
    engine.script = think
    await leaves_unanswered(gateway, engine, path, stream=True)
    [record] = await records(1)
    assert (record["outcome"], record["disconnect_phase"]) == ("client_left", "before_first_byte")
    assert record["status"] == 499


@pytest.mark.parametrize("path", ASKED)
async def test_not_streaming(engine, gateway, records, path: str) -> None:
    engine.script = think
    await leaves_unanswered(gateway, engine, path, stream=False)
    [record] = await records(1)
    assert (record["outcome"], record["disconnect_phase"]) == ("client_left", "not_streaming")


@pytest.mark.parametrize("path", ASKED)
async def test_while_queued(engine, config, open_gateway, records, path: str) -> None:
    one = AdmissionConfig(max_running=1, emergency_reserve=0)
    async with open_gateway(config.model_copy(update={"admission": one})) as gateway:
        metrics = f"{gateway.url}/metrics"
        engine.script = think
        holding = asyncio.create_task(gateway.post(body(path, stream=False), path).__aenter__())
        await asyncio.wait_for(engine.arrived.wait(), 30)
        queued = asyncio.create_task(gateway.post(body(path, stream=False), path).__aenter__())
        async with asyncio.timeout(30):
            while QUEUED not in await (await gateway.session.get(metrics)).text():
                await asyncio.sleep(0.02)
        queued.cancel()
        [record] = await records(1)
        assert (record["outcome"], record["disconnect_phase"]) == ("client_left", "queued")
        assert engine.running == len(engine.bodies) == 1  # it never got there
        holding.cancel()
        await engine.freed()
        engine.script = type(engine).__dataclass_fields__["script"].default
        async with gateway.chat() as answer:  # and its place is free
            assert answer.status == 200


@pytest.mark.parametrize("path", ASKED)
async def test_while_sending(engine, gateway, records, path: str) -> None:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gateway.key}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(head.encode())
    await writer.drain()
    writer.close()
    [record] = await records(1)
    assert (record["outcome"], record["disconnect_phase"]) == ("client_left", "sending")
    assert engine.running == len(engine.bodies) == 0


async def test_a_storm_of_leaving_clients_leaves_nothing_behind(engine, gateway) -> None:
    engine.script = speak
    total = 60

    async def come_and_go(number: int) -> None:
        asking = asyncio.create_task(gateway.chat(stream=bool(number % 2)).__aenter__())
        await asyncio.sleep(number % 7 / 50)
        asking.cancel()
        done = await asyncio.gather(asking, return_exceptions=True)
        if not isinstance(done[0], BaseException):
            done[0].close()

    await asyncio.gather(*(come_and_go(number) for number in range(total)))
    async with asyncio.timeout(30):
        while engine.running:
            await asyncio.sleep(0.02)
        page = ""
        while "bedside_gateway_requests_in_flight 1.0" not in page:  # this very request
            async with gateway.session.get(f"{gateway.url}/metrics") as answer:
                page = await answer.text()
    engine.script = type(engine).__dataclass_fields__["script"].default
    async with gateway.chat() as answer:
        assert answer.status == 200


@pytest.mark.parametrize("stream", [False, True])
async def test_after_a_large_body(engine, config, open_gateway, records, stream: bool) -> None:
    """More than is read ahead, so that reading the connection was paused."""
    section = config.gateway.model_copy(update={"max_body_bytes": 1 << 20})
    engine.script = think
    asked = {"model": "test", "messages": [{"role": "user", "content": "a" * 600_000}]}
    data = json.dumps(asked | {"stream": True} if stream else asked).encode()
    async with open_gateway(config.model_copy(update={"gateway": section})) as gateway:
        head = (
            f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gateway.key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(head.encode() + data)
        await asyncio.wait_for(engine.arrived.wait(), 30)
        writer.close()
        await engine.freed()
        [record] = await records(1)
    assert record["outcome"] == "client_left"


async def test_leaving_early_does_not_save_tokens(engine, make_key, gateway, records) -> None:
    """Otherwise a rate could be got around by leaving just before the end."""
    made = make_key(tokens_per_minute=1000)
    await gateway.looked()
    headers = {"Authorization": f"Bearer {made.secret}"}
    asked = json.dumps(json.loads(body("/v1/completions", stream=False)) | {"max_tokens": 600})
    engine.script = think
    waiting = asyncio.create_task(
        gateway.post(asked.encode(), "/v1/completions", headers).__aenter__()
    )
    await asyncio.wait_for(engine.arrived.wait(), 30)
    waiting.cancel()
    await engine.freed()
    await records(1)  # it is over in the gateway too
    async with gateway.post(asked.encode(), "/v1/completions", headers) as answer:
        assert answer.status == 429


async def test_what_outlasts_the_drain_did_not_leave(engine, gateway, records) -> None:
    """It is on record as cut off by the gateway, not as a client's leaving."""
    engine.script = speak
    async with gateway.post(body(CHAT, stream=True), CHAT) as answer:
        first = engine.marked(FIRST)
        assert await answer.content.readexactly(len(first)) == first
        gateway.end()
        with pytest.raises(ClientPayloadError):
            await answer.content.read()
    await engine.freed()
    [record] = await records(1)
    assert (record["outcome"], record["disconnect_phase"]) == ("gateway_stopped", None)
    assert record["status"] == 200
