"""Streams pass unbuffered and unchanged; a client that leaves frees the engine."""

from __future__ import annotations

import asyncio
import json

import openai
import pytest
from aiohttp import ClientPayloadError, web


async def test_stream_is_identical_and_unbuffered(engine, gateway) -> None:
    events = [
        engine.chunk("Blutdruck ≥ 140 mmHg"),
        b": keep-alive\n\n",
        engine.chunk("µg"),
        b"data: [DONE]\n\n",
    ]
    seen = asyncio.Semaphore(0)

    async def one_at_a_time(request: web.Request) -> web.StreamResponse:
        response = await engine.open_stream(request)
        for event in events:
            await response.write(event[:25])  # may arrive in two parts
            await asyncio.sleep(0)
            await response.write(event[25:])
            await asyncio.wait_for(seen.acquire(), 30)  # the client has this one
        return response

    engine.script = one_at_a_time
    async with gateway.chat(stream=True) as answer:
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["x-bedside-verdict"] == "UNPROVEN"
        for event in map(engine.marked, events):
            assert await asyncio.wait_for(answer.content.readexactly(len(event)), 30) == event
            seen.release()
        assert await answer.content.read() == b""


async def wait_forever(request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.fixture
def stalling(engine):
    """An engine that writes one event and then nothing."""

    async def stall(request: web.Request) -> web.StreamResponse:
        response = await engine.open_stream(request)
        await response.write(engine.chunk("a"))
        return await wait_forever(request)

    engine.script = stall
    return engine


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_leaving_before_the_first_byte_frees_the_engine(
    engine, gateway, stream: bool, path: str
) -> None:
    engine.script = wait_forever
    asked = {"messages": [{"role": "user", "content": "a"}]} if "chat" in path else {"prompt": "a"}
    body = json.dumps({"model": "test", "stream": stream, **asked}).encode()

    async def ask() -> None:
        async with gateway.post(body, path):
            pass

    request = asyncio.create_task(ask())
    await asyncio.wait_for(engine.arrived.wait(), 30)
    assert engine.running == 1
    request.cancel()
    await engine.freed()


async def test_leaving_mid_stream_frees_the_engine(stalling, gateway) -> None:
    engine = stalling
    async with gateway.chat(stream=True) as answer:
        first = engine.marked(engine.chunk("a"))
        assert await answer.content.readexactly(len(first)) == first
        assert engine.running == 1
        answer.close()
    await engine.freed()


async def test_a_client_that_never_reads_is_not_buffered_for(engine, gateway) -> None:
    written = 0

    async def flood(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = await engine.open_stream(request)
        while True:
            await response.write(b":" + b"x" * 65536 + b"\n\n")
            written += 65536

    engine.script = flood
    async with gateway.chat(stream=True) as answer:
        await engine.arrived.wait()
        before = -1
        while written != before:  # until back pressure has reached the engine
            before = written
            await asyncio.sleep(0.3)
        assert written < 32 << 20
        answer.close()
    await engine.freed()


def die(request: web.Request) -> None:
    assert request.transport is not None
    request.transport.abort()


async def test_death_mid_stream_is_an_error_event(engine, gateway) -> None:
    async def break_off(request: web.Request) -> web.StreamResponse:
        response = await engine.open_stream(request)
        await response.write(engine.chunk("a") + b"data: {half")
        await asyncio.sleep(0.05)
        die(request)
        return response

    engine.script = break_off
    async with gateway.chat(stream=True) as answer:
        content = await answer.content.read()
    events = content.split(b"\n\n")
    assert events[0] + b"\n\n" == engine.marked(engine.chunk("a"))
    error = json.loads(events[1].removeprefix(b"data: "))["error"]
    assert error["code"] == "engine_error"
    assert b"[DONE]" not in content


async def test_openai_client_sees_a_broken_stream(engine, gateway) -> None:
    async def break_off(request: web.Request) -> web.StreamResponse:
        response = await engine.open_stream(request)
        await response.write(engine.chunk("Guten"))
        await asyncio.sleep(0.05)
        die(request)
        return response

    engine.script = break_off
    pieces = []
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key) as client:
        stream = await client.chat.completions.create(
            model="test", messages=[{"role": "user", "content": "Hallo"}], stream=True
        )
        with pytest.raises(openai.APIError) as caught:
            pieces += [event.choices[0].delta.content async for event in stream]
    assert caught.value.code == "engine_error"


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_death_before_the_first_byte_is_502(engine, gateway, stream: bool) -> None:
    async def vanish(request: web.Request) -> web.StreamResponse:
        if stream:
            await engine.open_stream(request)
            await asyncio.sleep(0.05)
        die(request)
        return web.Response()

    engine.script = vanish
    async with gateway.chat(stream=stream) as answer:
        assert answer.status == 502
        assert (await answer.json())["error"]["code"] == "engine_error"


async def test_a_stream_without_a_byte_is_502(engine, gateway) -> None:
    engine.script = engine.open_stream
    async with gateway.chat(stream=True) as answer:
        assert answer.status == 502


async def test_whole_answer_keeps_every_value(engine, gateway) -> None:
    raw = b'{"id": "x",   "choices": [] , "\xc3\xb6": 1.50}'

    async def odd_spacing(request: web.Request) -> web.StreamResponse:
        return web.Response(body=raw, content_type="application/json")

    engine.script = odd_spacing
    async with gateway.chat() as answer:
        marked = {**json.loads(raw), "system_fingerprint": engine.served.model}
        assert await answer.json() == marked


async def test_draining_ends(stalling, gateway) -> None:
    engine = stalling
    async with gateway.chat(stream=True) as answer:
        await answer.content.readexactly(len(engine.marked(engine.chunk("a"))))
        gateway.end()
        with pytest.raises(ClientPayloadError):
            await asyncio.wait_for(answer.content.read(), 30)
    await engine.freed()
