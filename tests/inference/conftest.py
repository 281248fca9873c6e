"""A real gateway on loopback, in front of an engine whose answers each test scripts."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import aiohttp
import psycopg
import pytest
import uvloop
from aiohttp import web

from bedside_core.registry.pin import Pin
from bedside_inference.audit import refusals
from bedside_inference.config import GatewayConfig, HealthConfig, InferenceConfig, StateConfig
from bedside_inference.gateway import server as gateway_server
from bedside_inference.gateway.server import listen, server
from bedside_inference.keys import NewKey, create
from bedside_inference.paths import socket_path
from bedside_inference.served import HEADER, ServedModel
from bedside_inference.state.records import Scope
from bedside_inference.state.store import Store

MODEL_DIGEST = "ab" * 32
ANCHOR = "a7" * 32
"""The fingerprint that every gateway here pins."""
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


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The gateway is served on uvloop, whose timers and transports are not quite asyncio's."""
    return {"uvloop": uvloop.new_event_loop}


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
    """Set while nothing runs."""
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    steps: int = 0

    def __post_init__(self) -> None:
        self.idle.set()

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

    def marked(self, events: bytes) -> bytes:
        """What becomes of events of chats and completions: each names the model that made it."""
        assert self.served is not None
        begin = b'data: {"system_fingerprint":"%s",' % self.served.model.encode()
        return (b"\n" + events).replace(b"\ndata: {", b"\n" + begin)[1:]

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
        """Wait until no request is running; the answers of tests that leave take far longer."""
        await asyncio.wait_for(self.idle.wait(), 30)


@pytest.fixture
def home() -> Iterator[Path]:
    """A BEDSIDE_HOME with a path short enough for a Unix socket."""
    path = Path(tempfile.mkdtemp(prefix="bedside-", dir="/tmp"))
    yield path
    shutil.rmtree(path)
    Pin.beside(path).path.unlink(missing_ok=True)


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
        anchor=ANCHOR,
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
def recorded_whole(monkeypatch) -> None:
    """Every refusal of a stranger has a record of its own, however many there are."""
    for name in ("WHOLE", "WHOLE_OF_NETWORK"):
        monkeypatch.setattr(refusals, name, 1 << 30)


@pytest.fixture
def key(make_key: Callable[..., NewKey]) -> str:
    return make_key().secret


@dataclass
class Door:
    """The gateway under test and a client that holds a key."""

    port: int
    key: str
    server: gateway_server.Server
    session: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def end(self) -> None:
        """Have the gateway let running answers finish and end, as at a signal."""
        self.server.should_exit = True
        self.server.wake()

    async def looked(self) -> None:
        """Wait until the gateway has looked for new keys and switches from now on."""
        since = time.monotonic()
        async with asyncio.timeout(30):
            while True:
                now = time.monotonic()
                async with self.session.get(f"{self.url}/metrics") as answer:
                    page = await answer.text()
                age = re.search(r"^bedside_gateway_state_age_seconds (\S+)$", page, re.MULTILINE)
                if age and now - float(age[1]) > since:
                    return
                await asyncio.sleep(0.02)

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
    Pin.beside(home).write(ANCHOR)
    running = server(config, home)
    with listen(config.gateway) as listening:
        task = asyncio.create_task(running.serve([listening]))
        while not running.started:
            await asyncio.sleep(0.01)
        session = aiohttp.ClientSession()
        door = Door(config.gateway.port, key, running, session)
        try:
            yield door
        finally:
            await session.close()
            door.end()
            await task


PASSWORD = "only for tests"
START_SECONDS = 60


class Server:
    """A server process that a test may stop, freeze, kill and start again, with its data."""

    url: str
    command: list[str | Path]
    user: dict[str, Any]
    """Whom it runs as, in the words of `subprocess`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.user = {}
        self.process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.directory,
            start_new_session=True,
            **self.user,
        )
        end = time.monotonic() + START_SECONDS
        while not self.answers():
            assert self.process.poll() is None and time.monotonic() < end
            time.sleep(0.02)

    def answers(self) -> bool:
        raise NotImplementedError

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it and all its children, for example SIGSTOP and SIGCONT."""
        assert self.process is not None
        for child in _descendants(self.process.pid):
            with suppress(ProcessLookupError):
                os.kill(child, number)

    def kill(self) -> None:
        """End it as a power failure would, and wait for that."""
        if self.process is not None:
            self.signal(signal.SIGKILL)
            self.process.wait()
            self.process = None


def _descendants(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        children = []
    return [pid, *(other for child in children for other in _descendants(int(child)))]


class Postgres(Server):
    """A private PostgreSQL server; it trusts its Unix socket and wants a password on loopback."""

    def __init__(self, programs: Path, directory: Path) -> None:
        super().__init__(directory)
        self.programs = programs
        self.databases = 0
        # initdb and postgres refuse to run as root.
        if os.geteuid() == 0:
            self.user = {"user": "postgres", "group": "postgres", "extra_groups": []}
            shutil.chown(directory, "postgres", "postgres")
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
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": directory,
            "fsync": "off",
            "max_connections": 50,
        }
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self.command = [programs / "postgres", "-D", directory / "data", *words]
        self.url = self.url_of("postgres")

    def answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """End it at once, with all its connections; what was committed stays."""
        assert self.process is not None
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(60)
        self.process = None

    def create_database(self) -> str:
        """The URL of a new, empty database."""
        self.databases += 1
        name = f"test{self.databases}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url_of(name)

    def url_of(self, database: str) -> str:
        return f"postgresql://bedside@/{database}?host={self.directory}&port={self.port}"

    def loopback_url(self, database: str) -> str:
        """The same over TCP, where it wants `PASSWORD`."""
        return f"postgresql://bedside@127.0.0.1:{self.port}/{database}"


def absent(what: str, required_by: str) -> NoReturn:
    """Skip, or fail where a variable of the environment requires the server."""
    if os.environ.get(required_by) == "1":
        pytest.fail(f"{what} is not installed, and {required_by}=1 requires it")
    pytest.skip(f"{what} is not installed")


@contextmanager
def served_in(make: Callable[[Path], Server]) -> Iterator[Server]:
    """A running server with a directory of its own; both are gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="bedside-", dir="/tmp"))
    try:
        server = make(directory)
        try:
            server.start()
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A running PostgreSQL server; a test that keeps state makes a database of its own in it."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
    if not found:
        absent("PostgreSQL", "BEDSIDE_REQUIRE_POSTGRES")
    with served_in(partial(Postgres, found[-1])) as server:
        yield server
