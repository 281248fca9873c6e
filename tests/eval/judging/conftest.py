"""Judges with known habits, behind a real HTTP server on a Unix socket."""

from __future__ import annotations

import json
import re
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bedside_core.artifacts import Recipe
from bedside_core.endpoint import client
from bedside_core.endpoint.config import EndpointConfig
from bedside_core.signing import Keys
from bedside_eval.judging.asking import Judge
from bedside_eval.judging.battery import languages, pairs, to_reword
from bedside_eval.judging.questions import MODES, REWORD_SYSTEM
from bedside_eval.state import State

Body = dict[str, Any]
Decide = Callable[[str, str], str]
JUDGE = "ef" * 32
BLOCK = re.compile(r"<<<(\w[^\n]*) ([0-9a-f]{16})\n(.*?)\n<<<end \2", re.DOTALL)
OWN = "Anders gesagt:"


class Standin(ThreadingHTTPServer):
    """Decides as its test says; everything that it was asked is kept."""

    daemon_threads = True
    address_family = socket.AF_UNIX

    def __init__(self, path: Path) -> None:
        self.path = path
        self.served: str | None = JUDGE
        self.fingerprint: str | None = None
        self.asked: list[Body] = []
        self.decide: Decide = perfect()
        self.failures: Callable[[str], Body] = lambda _: dict.fromkeys(MODES, False)
        self.text: Callable[[Body, str], str | None] = lambda _, text: text
        """What becomes of a reply's text; None: a failure of the server."""
        super().__init__(str(path), Handler)

    def server_bind(self) -> None:  # the standard library's looks up a host's name
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, *_: object) -> None:
        """Clients that hang up are part of the tests."""

    def reply(self, body: Body) -> str | None:
        self.asked.append(body)
        system, user = (message["content"] for message in body["messages"])
        blocks = {name: text for name, _, text in BLOCK.findall(user)}
        if system == REWORD_SYSTEM:
            text = f"{OWN} {blocks['Text']}"
        elif "Response A" in blocks:
            winner = self.decide(blocks["Response A"], blocks["Response B"])
            text = json.dumps({"reasoning": "Weil.", "winner": winner})
        else:
            text = json.dumps({"reasoning": "Weil.", **self.failures(blocks["Response"])})
        return self.text(body, text)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Standin

    def address_string(self) -> str:
        return "socket"

    def do_GET(self) -> None:
        self.send(404, {})

    def do_POST(self) -> None:
        text = self.server.reply(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        if text is None:
            self.send(400, {})
            return
        message = {"message": {"content": text}, "finish_reason": "stop"}
        answer: Body = {"choices": [message], "model": "judge"}
        if self.server.fingerprint:
            answer["system_fingerprint"] = self.server.fingerprint
        self.send(200, answer)

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


def perfect(seen: Callable[[str], str] = lambda text: text) -> Decide:
    """Knows every right answer of the exam, as far as it can see it."""
    right = {
        seen(pair.right)
        for language in languages()
        for pair in (*pairs(language), *to_reword(language))
    }

    def decide(a: str, b: str) -> str:
        a, b = seen(a), seen(b)
        if a == b or (a in right) == (b in right):
            return "0"
        return "A" if a in right else "B"

    return decide


@pytest.fixture(name="perfect")
def perfect_as_fixture() -> Callable[..., Decide]:
    return perfect


@pytest.fixture
def standin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Standin]:
    monkeypatch.setattr(client, "FIRST_WAIT_SECONDS", 0.001)
    with Standin(tmp_path / "j.sock") as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    made = Keys(tmp_path_factory.mktemp("keys"), stem="evidence", domain=b"bedside evidence v1\n")
    made.make()
    return made


@pytest.fixture
def state(keys: Keys, tmp_path: Path) -> State:
    recipe = Recipe(verb="eval run", version="1", config={}, parents={}, inputs={}, environment={})
    (tmp_path / "state").mkdir(mode=0o700)
    return State(tmp_path / "state", keys, recipe)


@pytest.fixture
def config(standin: Standin) -> EndpointConfig:
    return EndpointConfig(address=str(standin.path), model="judge", retries=1, concurrency=8)


@pytest.fixture
def judge(config: EndpointConfig, state: State) -> Judge:
    return Judge("first", config, state)
