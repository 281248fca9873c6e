"""A real gateway on loopback, in front of an engine whose answers each test scripts."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvicorn
from aiohttp import web

from bedside_inference.config import GatewayConfig, InferenceConfig, socket_path
from bedside_inference.gateway.server import listen, server
from bedside_inference.keys import KeyStore
from bedside_inference.served import HEADER, ServedModel

MODEL_DIGEST = "ab" * 32
Script = Callable[[web.Request], Awaitable[web.StreamResponse]]


COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "test",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Guten Tag"},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
}


async def answer_completion(request: web.Request) -> web.StreamResponse:
    return web.json_response(COMPLETION)


@dataclass
class Engine:
    """What a test sees and decides of the engine."""

    served: ServedModel | None
    runner: web.AppRunner | None = None
    script: Script = answer_completion
    healthy: bool = True
    running: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    @staticmethod
    def chunk(text: str) -> bytes:
        """One event of a chat stream, as vLLM writes it."""
        event = {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "test",
            "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}],
        }
        return b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n"

    @staticmethod
    async def open_stream(request: web.Request) -> web.StreamResponse:
        """Send the headers of an event stream."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        return response

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        self.bodies.append(await request.read())
        self.running += 1
        self.idle.clear()
        self.arrived.set()
        try:
            return await self.script(request)
        finally:
            self.running -= 1
            if not self.running:
                self.idle.set()

    async def health(self, request: web.Request) -> web.StreamResponse:
        return web.Response(status=200 if self.healthy else 503)

    async def mark(self, request: web.Request, response: web.StreamResponse) -> None:
        if self.served is not None:
            response.headers[HEADER] = self.served.model_dump_json()

    async def listen_on_loopback(self) -> int:
        """Be reachable over a network too; returns the port."""
        assert self.runner is not None
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        return int(self.runner.addresses[-1][1])

    async def freed(self) -> None:
        """Wait until no request is running."""
        await asyncio.wait_for(self.idle.wait(), 5)


@pytest.fixture
def home() -> Iterator[Path]:
    """A BEDSIDE_HOME with a path short enough for a Unix socket."""
    path = Path(tempfile.mkdtemp(prefix="bedside-", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def config() -> InferenceConfig:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return InferenceConfig(
        model_name="test",
        gateway=GatewayConfig(port=port, max_body_bytes=4096, drain_seconds=1),
    )


@pytest.fixture
def served() -> ServedModel:
    """What the engine says of itself."""
    return ServedModel(
        model=MODEL_DIGEST,
        created=datetime(2026, 11, 1, tzinfo=UTC),
        evidence=None,
        verdict="UNPROVEN",
    )


@pytest.fixture
async def engine(config: InferenceConfig, home: Path, served: ServedModel) -> AsyncIterator[Engine]:
    found = Engine(served)
    app = web.Application(client_max_size=1 << 24)
    app.on_response_prepare.append(found.mark)
    app.router.add_get("/health", found.health)
    app.router.add_post("/v1/{route:.*}", found.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    found.runner = runner
    socket_path(config, home).parent.mkdir(mode=0o700)
    await web.UnixSite(runner, str(socket_path(config, home))).start()
    yield found
    await runner.cleanup()


@pytest.fixture
def key(home: Path) -> str:
    return KeyStore(home).create()[1]


@dataclass
class Door:
    """The gateway under test and a client that holds a key."""

    port: int
    key: str
    server: uvicorn.Server
    session: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def chat(self, **changes: Any) -> Any:
        """Post a chat request; an asynchronous context of the answer."""
        body = {"model": "test", "messages": [{"role": "user", "content": "Hallo"}], **changes}
        return self.post(json.dumps(body).encode())

    def post(
        self, data: Any, path: str = "/v1/chat/completions", headers: dict[str, str] | None = None
    ) -> Any:
        """Post bytes as JSON."""
        sent = {**self.authorization, "Content-Type": "application/json", **(headers or {})}
        return self.session.post(f"{self.url}{path}", data=data, headers=sent)


@pytest.fixture
async def gateway(config: InferenceConfig, home: Path, key: str) -> AsyncIterator[Door]:
    """A running gateway; a test that wants an engine behind it asks for that too."""
    running = server(config, home)
    with listen(config.gateway) as listening:
        task = asyncio.create_task(running.serve([listening]))
        while not running.started:
            await asyncio.sleep(0.01)
        async with aiohttp.ClientSession() as session:
            yield Door(config.gateway.port, key, running, session)
        running.should_exit = True
        await task
