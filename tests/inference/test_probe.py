"""One plain request: what is sent, where it goes, how long it waits."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from bedside_inference.paths import socket_path
from bedside_inference.probe import ask

CHAT = "/v1/chat/completions"
Answer = tuple[int, bytes]


def exchange(where: Any, path: str, **options: Any) -> Answer:
    with ask(where, path, **options) as answer:
        return answer.status, answer.read()


@pytest.fixture
async def url(engine) -> str:
    return f"http://127.0.0.1:{await engine.listen_on_loopback()}"


@pytest.fixture(params=["socket", "url"])
def where(request, config, home, url) -> Any:
    return socket_path(config, home) if request.param == "socket" else url


Speak = Callable[[bytes], Any]


@pytest.fixture
async def speak() -> AsyncIterator[Speak]:
    """Answer a connection with these bytes, then close it; returns the URL."""
    servers = []

    async def speak(said: bytes) -> str:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(said)
            writer.close()
            await writer.wait_closed()

        servers.append(await asyncio.start_server(answer, "127.0.0.1", 0))
        return f"http://127.0.0.1:{servers[-1].sockets[0].getsockname()[1]}"

    yield speak
    for server in servers:
        server.close()
        await server.wait_closed()


async def test_a_body_makes_it_a_post_and_reaches_the_server_with_the_headers(
    engine, where
) -> None:
    async def echo(request: web.Request) -> web.StreamResponse:
        return web.json_response({"method": request.method, "path": request.path_qs}, status=201)

    engine.script = echo
    sent = {"body": b'{"a": "\xc3\xa4"}', "headers": {"Authorization": "Bearer x", "X-B": "1"}}
    status, said = await asyncio.to_thread(exchange, where, f"{CHAT}?q=1", **sent)
    assert (status, json.loads(said)) == (201, {"method": "POST", "path": f"{CHAT}?q=1"})
    assert engine.bodies == [b'{"a": "\xc3\xa4"}']
    [headers] = engine.headers
    assert {name: headers.get(name) for name in ("Authorization", "X-B", "Content-Type")} == {
        "Authorization": "Bearer x",
        "X-B": "1",
        "Content-Type": "application/json",
    }


async def test_without_a_body_it_is_a_get(engine, where) -> None:
    assert await asyncio.to_thread(exchange, where, "/health") == (200, b"")
    # The engine of these tests knows this path with POST only.
    assert (await asyncio.to_thread(exchange, where, CHAT))[0] == 405


async def test_an_empty_body_is_a_post_too(engine, where) -> None:
    assert (await asyncio.to_thread(exchange, where, CHAT, body=b""))[0] == 200
    assert engine.bodies == [b""]


async def test_a_header_replaces_the_usual_one(engine, where) -> None:
    other = {"Content-Type": "text/plain"}
    await asyncio.to_thread(exchange, where, CHAT, body=b"x", headers=other)
    assert engine.headers[0]["Content-Type"] == "text/plain"


async def test_a_proxy_of_the_environment_never_sees_a_request(engine, where, monkeypatch) -> None:
    reached = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(await reader.read(100))
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(proxy, "127.0.0.1", 0) as server:
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, address)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert (await asyncio.to_thread(exchange, where, "/health"))[0] == 200
    assert reached == []


async def test_a_silent_server_is_given_up(engine, where) -> None:
    async def silence(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(600)
        raise AssertionError("nobody waits so long")

    engine.script = silence
    with pytest.raises(TimeoutError):
        await asyncio.to_thread(exchange, where, CHAT, body=b"{}", timeout=0.2)
    await engine.freed()


async def test_an_answer_that_falls_silent_is_given_up(engine, where) -> None:
    async def half(request: web.Request) -> web.StreamResponse:
        response = await engine.open_stream(request)
        await response.write(b"data: ")
        await asyncio.sleep(600)
        return response

    engine.script = half
    with pytest.raises(TimeoutError):
        await asyncio.to_thread(exchange, where, CHAT, body=b"{}", timeout=0.2)
    await engine.freed()


async def test_leaving_ends_the_request(engine, where) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = await engine.open_stream(request)
        while True:
            await response.write(b"data: x\n\n")
            await asyncio.sleep(0.01)

    def glance() -> bytes:
        with ask(where, CHAT, body=b"{}") as answer:
            return answer.readline()

    engine.script = endless
    assert await asyncio.to_thread(glance) == b"data: x\n"
    await engine.freed()


async def test_an_answer_that_ends_its_connection_is_closed_unread(speak) -> None:
    """Its socket would otherwise live until a garbage collection."""
    url = await speak(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * 100)

    def glance() -> http.client.HTTPResponse:
        with ask(url, "/") as answer:
            assert answer.read(1) == b"x"
        return answer

    assert (await asyncio.to_thread(glance)).isclosed()


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"", http.client.RemoteDisconnected),
        (b"220 mail.example ESMTP\r\n", http.client.BadStatusLine),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", http.client.IncompleteRead),
    ],
)
async def test_what_is_not_http_is_an_http_error(speak, said, error) -> None:
    with pytest.raises(error):
        await asyncio.to_thread(exchange, await speak(said), "/")


def test_nobody_there_is_an_os_error(config, home) -> None:
    with pytest.raises(FileNotFoundError):
        exchange(socket_path(config, home), "/health")
    with pytest.raises(ConnectionRefusedError):
        exchange(f"http://127.0.0.1:{config.gateway.port}", "/livez")
