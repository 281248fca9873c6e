"""A real HTTP server whose answers, good and bad, each test scripts."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bedside_core.endpoint import client
from bedside_core.endpoint.client import Body
from bedside_core.endpoint.config import EndpointConfig

DIGEST = "ab" * 32
OTHER_DIGEST = "cd" * 32


@dataclass
class Reply:
    """What the server sends back."""

    status: int = 200
    content: bytes | None = None
    """By default a completion that repeats the question."""
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    """Until it begins."""
    hang: bool = False
    """Say nothing until the test ends."""
    cut: bool = False
    """Hang up in the middle."""


class Server(ThreadingHTTPServer):
    """An OpenAI-compatible server on loopback that remembers what it was asked."""

    daemon_threads = True
    address_family: int

    def __init__(self, address: Any, family: Any = None) -> None:
        if family is not None:
            self.address_family = family
        self.digest: str | None = DIGEST
        self.script: Callable[[Body, int], dict[str, Any]] = lambda body, nth: {}
        """Fields of a `Reply` to a body that came for the nth time."""
        self.asked: list[str] = []
        """The question of each request, as it came."""
        self.times: list[float] = []
        self.headers: list[dict[str, str]] = []
        self.running = self.most = 0
        self.over = threading.Event()
        self._lock = threading.Lock()
        super().__init__(address, Handler)

    def server_bind(self) -> None:  # the standard library's looks up a host's name
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, *_: object) -> None:
        """Clients that hang up are part of the tests."""

    @property
    def counts(self) -> Counter[str]:
        return Counter(self.asked)

    def reply(self, body: Body, headers: dict[str, str]) -> Reply:
        question = question_of(body)
        with self._lock:
            self.asked.append(question)
            self.times.append(time.monotonic())
            self.headers.append(headers)
            nth = self.counts[question]
            self.running += 1
            self.most = max(self.most, self.running)
        reply = Reply(**self.script(body, nth))
        time.sleep(reply.seconds)
        if reply.hang:
            self.over.wait()
        if reply.content is None:
            reply.content = json.dumps(completion(question)).encode()
        return reply

    def done(self) -> None:
        with self._lock:
            self.running -= 1


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.answer(Reply(404, b""))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            self.answer(self.server.reply(body, dict(self.headers)))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # a client that did not wait
        finally:
            self.server.done()

    def answer(self, reply: Reply) -> None:
        assert reply.content is not None
        self.send_response_only(reply.status)
        named = {"X-Bedside-Model": self.server.digest} if self.server.digest else {}
        for name, value in {**named, **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.content)))
        self.end_headers()
        if reply.cut:
            self.wfile.write(reply.content[: len(reply.content) // 2])
            self.close_connection = True
        else:
            self.wfile.write(reply.content)

    def log_message(self, *_: object) -> None:
        """Tests read what the client says, not the server."""


def question_of(body: Body) -> str:
    return str(body["messages"][0]["content"])


def completion(question: str) -> Body:
    message = {"role": "assistant", "content": f"answer to {question}"}
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


def served(server: Server) -> Iterator[Server]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    yield from served(Server(("127.0.0.1", 0)))


@pytest.fixture
def unix_server(tmp_path: Path) -> Iterator[Server]:
    yield from served(Server(str(tmp_path / "s"), socket.AF_UNIX))


@pytest.fixture
def config(server: Server) -> EndpointConfig:
    return EndpointConfig(
        address=f"http://127.0.0.1:{server.server_address[1]}", model="test", retries=2
    )


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "answers"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.delenv("BEDSIDE_API_KEY", raising=False)
