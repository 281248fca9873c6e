"""A real HTTP server on a Unix socket in the engine's place, whose faults each test chooses."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bedside_core.endpoint import client
from bedside_eval.answering.canaries import ECHOED

MODEL = "ab" * 32
OTHER = "cd" * 32
Body = dict[str, Any]


class Engine(ThreadingHTTPServer):
    """Gives back what it is asked to, chooses the first letter and writes one sentence."""

    daemon_threads = True
    address_family = socket.AF_UNIX

    def __init__(self, path: Path) -> None:
        self.path = path
        self.served: str | None = MODEL
        self.asked: list[Body] = []
        """Questions, without what is asked to see whether it is fit."""
        self.echo: Body = {
            "text": f"{ECHOED} nine",
            "logprobs": {"token_logprobs": [None, *(-0.5 * n for n in range(1, 9))]},
        }
        self.letter = "A"
        self.answer: Callable[[Body], tuple[int, Any]] = lambda body: (200, written("Ja."))
        """Status and content of the answer to a question."""
        super().__init__(str(path), Handler)

    def server_bind(self) -> None:  # the standard library's looks up a host's name
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, *_: object) -> None:
        """Clients that hang up are part of the tests."""

    def reply(self, body: Body) -> tuple[int, Any]:
        if body.get("echo"):
            return 200, {"choices": [self.echo]}
        if body.get("prompt", "").startswith("A B C D"):
            return 200, {"choices": [{"text": self.letter}]}
        self.asked.append(body)
        return self.answer(body)


def written(text: str, finish: str = "stop") -> Body:
    """An answer of chat."""
    return {"choices": [{"message": {"content": text}, "finish_reason": finish}]}


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Engine

    def address_string(self) -> str:
        return "socket"

    def do_GET(self) -> None:
        self.send(404, {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send(*self.server.reply(body))

    def send(self, status: int, content: Any) -> None:
        data = json.dumps(content).encode()
        self.send_response_only(status)
        if self.server.served:
            self.send_header("X-Bedside-Served", json.dumps({"model": self.server.served}))
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Tests read what the client says, not the server."""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setattr(client, "FIRST_WAIT_SECONDS", 0.001)
    with Engine(tmp_path / "e.sock") as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()
