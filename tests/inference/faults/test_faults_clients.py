"""Clients that ask and then do not read: nothing of ours waits for them."""

from __future__ import annotations

import asyncio
import json
import resource
import socket

import pytest
from aiohttp import web

from bedside_inference.config import HealthConfig, TimeoutsConfig
from bedside_inference.gateway.protocol import Protocol

WRITE_SECONDS = 0.5
LARGE = 32 << 20
"""More than the systems on both sides keep for a connection."""


@pytest.fixture
async def impatient(config, open_gateway, monkeypatch):
    """A gateway whose clients must take what they asked for."""
    monkeypatch.setattr(Protocol, "TAKE_SECONDS", WRITE_SECONDS, raising=False)
    timeouts = TimeoutsConfig(write=WRITE_SECONDS)
    section = config.gateway.model_copy(update={"timeouts": timeouts})
    async with open_gateway(config.model_copy(update={"gateway": section})) as door:
        yield door


def connected(port: int, buffer: int = 4096) -> socket.socket:
    """A connection that takes little and of which nobody reads."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    client.connect(("127.0.0.1", port))
    return client


def asking(door, *, stream: bool) -> bytes:
    said = {"model": "test", "messages": [{"role": "user", "content": "Hallo"}], "stream": stream}
    body = json.dumps(said).encode()
    return (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {door.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


async def until_cut(door) -> None:
    """Wait until the gateway holds no connection; the client's side may not learn of it."""
    async with asyncio.timeout(30):
        while door.server.server_state.connections:
            await asyncio.sleep(0.05)


async def test_a_stream_that_nobody_reads(engine, impatient, ledger, recovers) -> None:
    async def flood(request: web.Request) -> web.StreamResponse:
        response = await engine.open_stream(request)
        while True:
            await response.write(engine.chunk("x" * 65536))

    engine.script = flood
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with connected(impatient.port) as client:
        client.sendall(asking(impatient, stream=True))
        await asyncio.wait_for(engine.arrived.wait(), 30)
        await engine.freed()
        record = await ledger.one()
        assert (record["outcome"], record["status"]) == ("client_stalled", 200)
        assert record["completion_tokens"] > 0
        await until_cut(impatient)
    await recovers(impatient, engine)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # KiB


async def test_a_large_answer_that_nobody_reads(engine, impatient, ledger, recovers) -> None:
    async def large(request: web.Request) -> web.StreamResponse:
        return web.json_response({"choices": [], "padding": "x" * LARGE})

    engine.script = large
    with connected(impatient.port) as client:
        client.sendall(asking(impatient, stream=False))
        await asyncio.wait_for(engine.arrived.wait(), 30)
        await engine.freed()  # it has done its part
        await until_cut(impatient)
        record = await ledger.one()
        assert (record["outcome"], record["status"]) == ("client_stalled", 200)
    await recovers(impatient, engine)


@pytest.fixture
def little(monkeypatch) -> None:
    """Connections for which the gateway's system keeps next to nothing."""
    made = Protocol.connection_made

    def connection_made(self: Protocol, transport: asyncio.Transport) -> None:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        made(self, transport)

    monkeypatch.setattr(Protocol, "connection_made", connection_made)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_the_rest_of_an_answer_that_nobody_reads(
    engine, little, impatient, ledger, recovers, stream
) -> None:
    """What fits into our buffer counts as taken, but the connection is not kept for it."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if not stream:
            return web.json_response({"choices": [], "padding": "x" * (40 << 10)})
        response = await engine.open_stream(request)
        await response.write(engine.chunk("x" * (40 << 10)))
        await response.write(b"data: [DONE]\n\n")
        return response

    engine.script = answer
    with connected(impatient.port) as client:
        client.sendall(asking(impatient, stream=stream))
        assert (await ledger.one())["outcome"] == "answered"
        await until_cut(impatient)
    await recovers(impatient, engine)


async def test_a_slow_reader_gets_everything(
    engine, config, open_gateway, monkeypatch, ledger, recovers
) -> None:
    """Slow is who takes little at a time; only who takes nothing is cut off."""
    size, loop, ahead = 8 << 20, asyncio.get_running_loop(), 0
    now = loop.time
    monkeypatch.setattr(loop, "time", lambda: now() + ahead)
    timeouts, rarely = TimeoutsConfig(write=30), HealthConfig(interval_seconds=3600)
    section = config.gateway.model_copy(update={"timeouts": timeouts, "health": rarely})

    async def large(request: web.Request) -> web.StreamResponse:
        return web.json_response({"choices": [], "padding": "x" * size})

    engine.script = large
    async with open_gateway(config.model_copy(update={"gateway": section})) as gateway:
        with connected(gateway.port, 1 << 19) as client:
            client.sendall(asking(gateway, stream=False))
            client.setblocking(False)
            got = 0
            while got < size:
                got += len(await asyncio.wait_for(loop.sock_recv(client, 1 << 19), 30))
                ahead += 3  # seconds
                await asyncio.sleep(0.05)
            assert ahead > timeouts.write
        assert (await ledger.one())["outcome"] == "answered"
        await recovers(gateway, engine)
