"""A real gateway on loopback, in front of an engine whose answers each test scripts."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest
import uvicorn
from aiohttp import web

from bedside_inference.config import (
    GatewayConfig,
    HealthConfig,
    InferenceConfig,
    StateConfig,
    socket_path,
)
from bedside_inference.gateway.server import listen, server
from bedside_inference.keys import NewKey, create
from bedside_inference.served import HEADER, ServedModel
from bedside_inference.state.records import Scope
from bedside_inference.state.store import Store

MODEL_DIGEST = "ab" * 32
OTHER_DIGEST = "cd" * 32
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
    steps: int = 0
    page: str = (
        'vllm:iteration_tokens_total_count{{engine="0"}} {steps}\n'
        'vllm:num_requests_running{{engine="0"}} {running}\n'
    )

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

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text=self.page.format(steps=self.steps, running=self.running))

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
        gateway=GatewayConfig(
            port=port,
            max_body_bytes=4096,
            drain_seconds=1,
            health=HealthConfig(interval_seconds=0.05),
        ),
        state=StateConfig(poll_seconds=0.05),
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


@asynccontextmanager
async def listening(socket: Path, served: ServedModel) -> AsyncIterator[Engine]:
    """An engine at a Unix socket."""
    found = Engine(served)
    app = web.Application(client_max_size=1 << 24)
    app.on_response_prepare.append(found.mark)
    app.router.add_get("/health", found.health)
    app.router.add_get("/metrics", found.metrics)
    app.router.add_post("/v1/{route:.*}", found.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    found.runner = runner
    socket.parent.mkdir(mode=0o700, exist_ok=True)
    await web.UnixSite(runner, str(socket)).start()
    yield found
    await runner.cleanup()


@pytest.fixture
async def engine(config: InferenceConfig, home: Path, served: ServedModel) -> AsyncIterator[Engine]:
    async with listening(socket_path(config, home), served) as found:
        yield found


@pytest.fixture
async def second(home: Path, served: ServedModel) -> AsyncIterator[Engine]:
    """An engine with another model."""
    other = served.model_copy(update={"model": OTHER_DIGEST, "verdict": "PROMOTE"})
    async with listening(home / "run" / "second.sock", other) as found:
        yield found


def unrecorded(action: str, /, **ids: str | int) -> None:
    """In the place of the audit, for what a test only needs to be there."""


@pytest.fixture
def make_key(config: InferenceConfig, home: Path) -> Callable[..., NewKey]:
    """Makes keys of a scope."""

    def make(days: int = 1, **scope: Any) -> NewKey:
        with closing(Store.open(config.state, home)) as store:
            return create(store, Scope(**scope), days=days, audit=unrecorded)

    return make


@pytest.fixture
def key(make_key: Callable[..., NewKey]) -> str:
    return make_key().secret


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
def open_gateway(home: Path, key: str) -> Callable[[InferenceConfig], Any]:
    """Opens a gateway with a configuration of the test's own, as an asynchronous context."""
    return lambda config: opened(config, home, key)


@pytest.fixture
async def gateway(config: InferenceConfig, home: Path, key: str) -> AsyncIterator[Door]:
    """A running gateway; a test that wants an engine behind it asks for that too."""
    async with opened(config, home, key) as door:
        yield door


@asynccontextmanager
async def opened(config: InferenceConfig, home: Path, key: str) -> AsyncIterator[Door]:
    """A gateway with a configuration of the test's own."""
    running = server(config, home)
    with listen(config.gateway) as listening:
        task = asyncio.create_task(running.serve([listening]))
        while not running.started:
            await asyncio.sleep(0.01)
        async with aiohttp.ClientSession() as session:
            yield Door(config.gateway.port, key, running, session)
        running.should_exit = True
        await task


PASSWORD = "only for tests"


class Postgres:
    """A private PostgreSQL server; it trusts its Unix socket and wants a password on loopback."""

    def __init__(self, programs: Path, directory: Path) -> None:
        self.programs, self.directory = programs, directory
        self.databases = 0
        # initdb and postgres refuse to run as root.
        self.user = {"user": "postgres", "group": "postgres", "extra_groups": []}
        if os.geteuid() != 0:
            self.user = {}
        else:
            shutil.chown(directory, "postgres", "postgres")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        (directory / "password").write_text(PASSWORD)
        options = ["--auth-local=trust", "--auth-host=scram-sha-256", "--username=bedside"]
        options += [f"--pwfile={directory / 'password'}", "--no-sync", "--encoding=UTF8"]
        subprocess.run(
            [programs / "initdb", "--pgdata", directory / "data", *options],
            check=True,
            capture_output=True,
            timeout=60,
            cwd=directory,
            **self.user,
        )

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.directory,
            "fsync": "off",
            "max_connections": 50,
        }
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        self.server = subprocess.Popen(
            [self.programs / "postgres", "-D", self.directory / "data", *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.directory,
            **self.user,
        )
        end = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.url("postgres")).close()
            except psycopg.OperationalError:
                assert self.server.poll() is None and time.monotonic() < end
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """End it at once, with all its connections; what was committed stays."""
        self.server.send_signal(signal.SIGQUIT)
        self.server.wait(30)

    def create_database(self) -> str:
        """The URL of a new, empty database."""
        self.databases += 1
        name = f"test{self.databases}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def url(self, database: str) -> str:
        return f"postgresql://bedside@/{database}?host={self.directory}&port={self.port}"

    def loopback_url(self, database: str) -> str:
        """The same over TCP, where it wants `PASSWORD`."""
        return f"postgresql://bedside@127.0.0.1:{self.port}/{database}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running PostgreSQL server; each test makes a database of its own in it."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
    if not found:
        reason = "PostgreSQL is not installed"
        if os.environ.get("BEDSIDE_REQUIRE_POSTGRES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    directory = Path(tempfile.mkdtemp(prefix="bedside-pg-", dir="/tmp"))
    server = Postgres(found[-1], directory)
    try:
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(directory)
